"""The command line: click commands, one file a group; nothing else imports click."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with the status that it gives."""
    import gc

    # what is imported stays: looking through it for garbage again and again is a tenth of a short command's time
    gc.set_threshold(100_000)
    from ocibuild.cli.main import run

    run()
