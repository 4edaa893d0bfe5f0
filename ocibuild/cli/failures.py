"""Errors as a user sees them: one line that says what, where and what to do, with the place in the Dockerfile."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import click

from ocibuild.errors import OcibuildError, StepFailed

if TYPE_CHECKING:
    from ocibuild.errors import SourceRange


def report(error: Exception, status: int) -> int:
    """Print an error to stderr and return ``status``."""
    if isinstance(error, StepFailed):
        for line in error.output:
            click.echo(f"  | {_printable(line)}", err=True)
    if isinstance(error, OcibuildError):
        click.echo(f"ocibuild: {_printable(str(error))}", err=True)
        if error.location is not None:
            _show_lines(error.location)
    else:
        click.echo(f"ocibuild: {_printable(_explain(error))}", err=True)
    return status


def report_usage(error: click.UsageError) -> int:
    """Print what is wrong with the command line to stderr and return its exit status, 2."""
    command = error.ctx.command_path if error.ctx else "ocibuild"
    message = error.format_message().replace("\n", " ")
    remedy = "" if message.endswith(")") else f" (try '{command} --help')"
    click.echo(f"{command}: {_printable(message)}{remedy}", err=True)
    return error.exit_code


def _show_lines(location: SourceRange) -> None:
    for number, line in enumerate(location.lines, start=location.first):
        click.echo(f"{number:6} | {_printable(line)}", err=True)


def _explain(error: Exception) -> str:
    if not isinstance(error, OSError):
        return f"unexpected {type(error).__name__}: {error} (this is a bug: report it with what --debug shows)"
    where = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"{where}no space left on the device (free some space)"
    return f"{where}{error.strerror or error}"


def _printable(text: str) -> str:
    """Return ``text`` without control characters: it may be a stranger's, and this is a terminal."""
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in text)
