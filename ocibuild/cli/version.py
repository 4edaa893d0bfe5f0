"""``ocibuild version``."""

from __future__ import annotations

import click

from ocibuild import __version__


@click.command()
def version() -> None:
    """Show the version."""
    click.echo(f"ocibuild {__version__}")
