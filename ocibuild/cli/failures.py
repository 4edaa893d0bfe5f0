"""Errors as a user sees them: one line that says what, where and what to do, then the place in the Dockerfile.

::

    ocibuild: Dockerfile:3: unknown instruction COPPY (did you mean COPY?)
         1 |     FROM debian
         2 |     RUN make
         3 | >>> COPPY a /b
         4 |     CMD ["/b"]
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import click

from ocibuild.cli.text import printable
from ocibuild.errors import DockerfileErrors, OcibuildError, StepFailed, remedy_of_limit, without_passwords

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.errors import SourceRange

_AROUND = 2
_MAX_LINES = 12
_MAX_WIDTH = 200


def report(error: Exception, status: int) -> int:
    """Print an error to stderr and return ``status``."""
    if isinstance(error, StepFailed):
        from ocibuild.progress.text import printable as without_escapes

        for line in error.output:
            click.echo(f"  | {without_escapes(line)}", err=True)
    if isinstance(error, DockerfileErrors):
        for one in error.errors:
            _report_one(one)
    elif isinstance(error, OcibuildError):
        _report_one(error)
    else:
        click.echo(f"ocibuild: {printable(_explain(error))}", err=True)
    return status


def report_usage(error: click.UsageError) -> int:
    """Print what is wrong with the command line to stderr and return its exit status, 2."""
    command = error.ctx.command_path if error.ctx else "ocibuild"
    message = error.format_message().replace("\n", " ")
    remedy = "" if message.endswith(")") else f" (try '{command} --help')"
    click.echo(f"{command}: {printable(message)}{remedy}", err=True)
    return error.exit_code


def _report_one(error: OcibuildError) -> None:
    click.echo(f"ocibuild: {printable(str(error))}", err=True)
    if error.location is not None:
        for line in _marked_lines(error.location):
            click.echo(printable(line), err=True)


def _marked_lines(location: SourceRange) -> Iterator[str]:
    """Yield the lines of ``location``, each marked, and those around it where they are known."""
    first, last = location.first, location.last
    shown = min(last, first + _MAX_LINES - 1)
    if not location.source:
        lines, start = location.lines[: shown - first + 1], first
    else:
        start = max(1, first - _AROUND)
        lines = location.source[start - 1 : shown + (_AROUND if shown == last else 0)]
    for number, line in enumerate(map(without_passwords, lines), start):
        mark = ">>>" if first <= number <= last else "   "
        yield f"{number:6} | {mark} {line if len(line) <= _MAX_WIDTH else line[:_MAX_WIDTH] + '...'}".rstrip()
    if shown < last and lines:
        yield f"       | >>> (and {last - shown} more lines)"


def _explain(error: Exception) -> str:
    if not isinstance(error, OSError):
        return f"unexpected {type(error).__name__}: {error} (this is a bug: report it with what --debug shows)"
    where = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"{where}no space left on the device (free some space)"
    if error.errno == errno.ENOENT and not where:
        return "the current directory is gone (go to another one)"  # nobody else asks for a file without a name
    remedy = remedy_of_limit(error)
    return f"{where}{error.strerror or error}" + (f" ({remedy})" if remedy else "")
