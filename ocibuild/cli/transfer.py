"""``ocibuild pull`` and ``push``."""

from __future__ import annotations

import click

from ocibuild.cli.common import progress_option, session


@click.command()
@click.argument("reference")
@click.option("--platform", metavar="P", help="The platform of the image.  [default: this machine's]")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@progress_option
@click.pass_context
def pull(ctx: click.Context, reference: str, platform: str | None, quiet: bool, progress: str) -> None:  # noqa: FBT001
    """Pull REFERENCE into the store, and print its name with the digest of its manifest."""
    from ocibuild.oci import Platform, Reference

    parsed = Reference.parse(reference)
    with session(ctx, progress="quiet" if quiet else progress) as current:
        descriptor = current.pull(parsed, Platform.parse(platform) if platform else Platform.host())
    click.echo(f"{parsed.repository}@{descriptor.digest}")


@click.command()
@click.argument("source")
@click.argument("destination", required=False)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@progress_option
@click.pass_context
def push(ctx: click.Context, source: str, destination: str | None, quiet: bool, progress: str) -> None:  # noqa: FBT001
    """Push the image SOURCE of the store to DESTINATION, its own name where none is given."""
    from ocibuild.oci import Reference

    target = Reference.parse(destination or source)
    with session(ctx, progress="quiet" if quiet else progress) as current:
        digest = current.push(source, target)
    click.echo(f"{target.repository}@{digest}")
