"""The forms in which progress is shown, and which one a stream gets."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, TextIO

from ocibuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_DUMB = frozenset({"dumb", "unknown"})


class Mode(StrEnum):
    """What ``--progress`` takes."""

    AUTO = "auto"
    TTY = "tty"
    PLAIN = "plain"
    RAWJSON = "rawjson"
    QUIET = "quiet"


def settle(mode: Mode, stream: TextIO, environ: Mapping[str, str]) -> Mode:
    """Return the mode to use for ``stream``, which is never AUTO.

    AUTO is TTY where the stream is a terminal that can move its cursor (``TERM`` is not ``dumb``), else PLAIN.
    Raises UsageError where TTY is asked for and the stream is no such terminal.
    """
    if mode not in (Mode.AUTO, Mode.TTY):
        return mode
    if _is_terminal(stream) and environ.get("TERM", "").lower() not in _DUMB:
        return Mode.TTY
    if mode is Mode.TTY:
        raise UsageError(
            "--progress tty needs a terminal that can move its cursor", remedy="use --progress plain or auto"
        )
    return Mode.PLAIN


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # a closed stream
        return False
