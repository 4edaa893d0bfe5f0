"""Text that is safe to show: what a step writes, or a Dockerfile says, never reaches the terminal as it is."""

from __future__ import annotations

import codecs
import re
import unicodedata

LONGEST_LINE = 16 * 1024
"""Characters after which a line without an end is broken, so that memory stays bounded."""

# ECMA-48: control sequences (CSI), strings (OSC, DCS, SOS, PM, APC) up to their end, and the two-character escapes.
# No two neighbouring parts share a character and no string runs over the start of another, so matching is linear.
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x90-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-Z\\^-~]"
)


def printable(text: str) -> str:
    """Return ``text`` with printable characters and tabs alone.

    Escape sequences go as a whole; unusual spaces become plain ones. What reorders or hides text (bidirectional
    controls, zero-width characters) goes too, so that a line shows what it says.
    """
    if text.isprintable():
        return text
    return "".join(_shown(char) for char in _ESCAPE.sub("", text))


def _shown(char: str) -> str:
    if char == "\t" or char.isprintable():
        return char
    return " " if unicodedata.category(char) == "Zs" else ""


def one_line(text: str) -> str:
    """Return ``text`` as a single printable line."""
    return printable(" ".join(text.split()))


class Lines:
    """Cuts one stream of a step's output, which comes in arbitrary pieces, into printable lines.

    A carriage return starts the line again, as on a terminal: of a progress meter the last state remains. A line
    longer than LONGEST_LINE is broken. Bytes that are not UTF-8 show as U+FFFD.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that ``data`` completes, in order."""
        *whole, rest = (self._rest + self._decoder.decode(data)).split("\n")
        rest = _restarted(rest)
        while len(rest) > LONGEST_LINE:
            whole.append(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        self._rest = rest
        return [piece for line in whole for piece in _pieces(_final(line))]

    def flush(self) -> list[str]:
        """Return the last line where it had no end, and forget it."""
        rest = self._rest + self._decoder.decode(b"", final=True)
        self._rest = ""
        return [_final(rest)] if rest else []

    @property
    def unfinished(self) -> str:
        """The line that is being written, as far as it is known."""
        return _final(self._rest)


def _restarted(text: str) -> str:
    """Drop what a carriage return has overwritten; one at the very end may still turn out to be half of a CRLF."""
    body = text.rstrip("\r")
    shown = body[body.rfind("\r") + 1 :]
    return shown if len(body) == len(text) else shown + "\r"


def _final(line: str) -> str:
    return printable(_restarted(line).rstrip("\r"))


def _pieces(line: str) -> list[str]:
    if len(line) <= LONGEST_LINE:
        return [line]
    return [line[start : start + LONGEST_LINE] for start in range(0, len(line), LONGEST_LINE)]


def size(count: int) -> str:
    """Return ``count`` bytes as docker shows them, in powers of 1,000: ``75.23MB``."""
    if count < 1000:
        return f"{count}B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 1000:
            return f"{value:.2f}{unit}"
    return f"{value / 1000:.2f}PB"


def duration(seconds: float) -> str:
    """Return ``seconds`` to a tenth: ``1.2s``."""
    return f"{max(seconds, 0.0):.1f}s"
