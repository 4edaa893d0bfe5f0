"""A template cut into pieces: text, and the words of actions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ocibuild.errors import UsageError
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPEN = re.compile(r"\{\{(-(?=\s))?")
_COMMENT = re.compile(r"\s*/\*.*?\*/\s*?( -)?\}\}", re.DOTALL)
_CLOSE = re.compile(r"((?<=\s)-)?\}\}")
_WORD = re.compile(
    r"""
      (?P<string> "(?:\\.|[^"\\\n])*" | `[^`]*` )
    | (?P<character> '(?:\\.|[^'\\\n])+' )
    | (?P<number> [+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?) (?!\w) )
    | (?P<variable> \$\w* )
    | (?P<member> \.(?!\d)\w* )
    | (?P<name> [^\W\d]\w* )
    | (?P<sign> := | [=|(),] )
    """,
    re.VERBOSE,
)


class Word(NamedTuple):
    """A word of an action: its ``kind`` as above, its text, and whether it follows the word before it at once."""

    kind: str
    text: str
    joined: bool


class Piece(NamedTuple):
    """Text, or the words of an action."""

    text: str
    words: tuple[Word, ...] | None


def scan(template: str) -> Iterator[Piece]:
    """Yield the pieces of a template, comments left out; raises UsageError."""
    at, trim = 0, False
    while opened := _OPEN.search(template, at):
        text = template[at : opened.start()]
        text = text.lstrip() if trim else text
        yield Piece(text.rstrip() if opened[1] else text, None)
        if comment := _COMMENT.match(template, opened.end()):
            at, trim = comment.end(), comment[1] is not None
            continue
        words, at, trim = _action(template, opened.end())
        yield Piece("", words)
    yield Piece(template[at:].lstrip() if trim else template[at:], None)


def _action(template: str, at: int) -> tuple[tuple[Word, ...], int, bool]:
    """Return the words of the action that begins at ``at``, where it ends, and whether the text after it is trimmed."""
    words: list[Word] = []
    joined = False
    while True:
        if closed := _CLOSE.match(template, at):
            return tuple(words), closed.end(), closed[1] is not None
        if at >= len(template):
            raise UsageError(f"--format: {template!r} lacks the }}}} of an action")
        if template[at].isspace():
            at, joined = at + 1, False
        elif word := _WORD.match(template, at):
            words.append(Word(str(word.lastgroup), word[0], joined))
            at, joined = word.end(), True
        else:
            raise UsageError(f"--format: unexpected {template[at]!r} in an action, before {template[at:][:40]!r}")
