"""The command line: click commands, one file a group; nothing else imports click."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with the status that it gives."""
    from ocibuild.cli.main import run

    run()
