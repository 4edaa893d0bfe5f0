"""Physical lines to logical ones: continuations joined, comments and blank lines dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ocibuild.errors import DockerfileError, SourceRange

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""White space as Unicode defines it, which the reference implementation strips (Python's own set is a little wider)."""

_BOM = b"\xef\xbb\xbf"


class LogicalLine(NamedTuple):
    """One instruction's text on one line, with where it stands.

    ``location`` keeps the physical lines as written. ``blank_continuation`` is whether a blank line stands inside it.
    """

    text: str
    location: SourceRange
    blank_continuation: bool = False


def split_lines(data: bytes) -> list[str]:
    """Return the physical lines of a file without their ends (LF or CRLF), and without a byte order mark.

    Bytes that are not UTF-8 are kept as surrogate escapes: a comment may hold them, an instruction may not.
    """
    text = data.removeprefix(_BOM).decode("utf-8", "surrogateescape")
    lines = [line.rstrip("\r") for line in text.split("\n")]
    if not lines[-1]:
        lines.pop()
    return lines


def logical_lines(lines: Sequence[str], *, escape: str, file: str) -> Iterator[LogicalLine]:
    """Yield the logical lines of ``lines`` in order.

    A line whose last character (blanks aside) is a single escape character goes on in the next one. Inside a
    continued line, comment lines and blank lines are skipped, and leading white space is kept.
    Raises DockerfileError for an instruction that is not UTF-8 or holds a NUL.
    """
    index = 0
    while index < len(lines):
        first = index
        text, continued = _continued(lines[index].lstrip(SPACE), escape)
        index += 1
        if text.startswith("#") or not (text or continued):
            continue
        parts, blank = [text], False
        while continued and index < len(lines):
            line = lines[index]
            index += 1
            stripped = line.lstrip(SPACE)
            if not stripped:
                blank = True
            elif not stripped.startswith("#"):
                text, continued = _continued(line, escape)
                parts.append(text)
        where = SourceRange(file, first + 1, index, tuple(lines[first:index]))
        yield LogicalLine(_checked("".join(parts), where), where, blank)


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
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise DockerfileError("this instruction is not valid UTF-8", location=where) from None
    return text
