"""Physical lines to logical ones: continuations joined, comments and blank lines dropped, documents set aside."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ocibuild.dockerfile.shell.space import SPACE
from ocibuild.errors import DockerfileError, SourceRange
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.dockerfile.parser.instructions import Heredoc

MAX_LINE = 65_535
"""How many bytes a line may have, as in the reference implementation."""
SURROGATE = re.compile("[\ud800-\udfff]")
"""A byte that is not UTF-8, in text that came from one, or half a character from JSON."""

_BOM = b"\xef\xbb\xbf"


class LogicalLine(NamedTuple):
    """One instruction's text on one line, with where it stands.

    ``location`` keeps the physical lines as written. ``comments`` stand above it, as an instruction has them.
    ``blank_continuation`` is whether a blank line stands inside it. ``documents`` are those that it opens, once read.
    """

    text: str
    location: SourceRange
    comments: tuple[str, ...] = ()
    blank_continuation: bool = False
    documents: tuple[Heredoc, ...] = ()


def split_lines(data: bytes) -> list[str]:
    """Return the physical lines of a file without their line feeds, and without a byte order mark.

    Bytes that are not UTF-8 are kept as surrogate escapes.
    """
    text = data.removeprefix(_BOM).decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


class LineReader:
    """Reads ``lines``, which have no line feeds, from the first to the last.

    The first ``directives`` of them are no comments. A line beyond MAX_LINE raises DockerfileError at once.
    """

    def __init__(self, lines: Sequence[str], *, escape: str, file: str, directives: int = 0) -> None:
        _refuse_long(lines, file)
        self._lines = lines
        self._shown = tuple(line.rstrip("\r") for line in lines)
        self._escape = escape
        self._file = file
        self._directives = directives
        self._index = 0

    def next(self) -> LogicalLine | None:
        """Return the next logical line, None at the end.

        A line whose last character (blanks aside) is a single escape character goes on in the next one. Inside a
        continued line, comment lines and blank lines are skipped, and leading white space is kept.
        Raises DockerfileError for an instruction that holds a NUL, and can go on after it.
        """
        comments: list[str] = []
        while self._index < len(self._lines):
            first = self._index
            line = self._take()
            text, continued = _continued(line.lstrip(SPACE), self._escape)
            if text.startswith("#"):
                _note(comments, line, directive=first < self._directives)
            elif text or continued:
                return self._rest(first, text, comments, continued=continued)
        return None

    def _rest(self, first: int, text: str, comments: list[str], *, continued: bool) -> LogicalLine:
        parts, blank = [text], False
        while continued and self._index < len(self._lines):
            line = self._take()
            stripped = line.lstrip(SPACE)
            if not stripped:
                blank = True
            elif not stripped.startswith("#"):
                text, continued = _continued(line, self._escape)
                parts.append(text)
        where = self.since(first + 1)
        return LogicalLine(_checked("".join(parts), where), where, tuple(comments), blank)

    def _take(self) -> str:
        line = self._shown[self._index]
        self._index += 1
        return line

    def document(self, name: str, *, strip_tabs: bool) -> str | None:
        """Return the lines up to one that is ``name`` alone, ends and all; None where there is no such line.

        With ``strip_tabs`` the tabs before that name do not count; those of the other lines are kept.
        """
        first = self._index
        while self._index < len(self._lines):
            line = self._take()
            if (line.lstrip("\t") if strip_tabs else line) == name:
                return "".join([f"{line}\n" for line in self._lines[first : self._index - 1]])
        return None

    def since(self, first: int) -> SourceRange:
        """Return the range from line ``first`` to the last one that has been read."""
        return SourceRange(self._file, first, self._index, self._shown[first - 1 : self._index], self._shown)


def _refuse_long(lines: Sequence[str], file: str) -> None:
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE // 4 and len(line.encode("utf-8", "surrogateescape")) > MAX_LINE:
            raise DockerfileError(
                f"a line of more than {MAX_LINE} bytes",
                remedy="an instruction may go on in the next line, after a backslash",
                location=SourceRange(file, number, number, (line,), tuple(lines)),
            )


def _note(comments: list[str], line: str, *, directive: bool) -> None:
    """Add a comment to those above an instruction; an empty one forgets those before it, a directive is none."""
    text = line[1:].strip(SPACE)
    if not text:
        comments.clear()
    elif not directive:
        comments.append(text)


def is_continued(line: str, escape: str) -> bool:
    """Return whether a line goes on in the next one."""
    return _continued(line, escape)[1]


def _continued(line: str, escape: str) -> tuple[str, bool]:
    if line.startswith("#"):
        return line, False
    text = line.rstrip(" \t")
    if not text.endswith(escape) or text[-2:-1] == escape:
        return line, False
    return text[:-1], True


def _checked(text: str, where: SourceRange) -> str:
    if "\0" in text:
        raise DockerfileError("an instruction cannot hold a NUL character", location=where)
    return text
