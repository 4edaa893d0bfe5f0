"""Heredocs: documents that stand in the lines after the RUN, COPY or ADD that opens them with ``<<NAME``.

As in the reference implementation, a word opens one where it begins with ``<<`` (or a number and ``<<``); quotes
around its name or a part of it say that nothing in the document is expanded, and ``<<-`` strips tabs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ocibuild.dockerfile.located import located
from ocibuild.dockerfile.parser.arguments import json_strings, split_statement
from ocibuild.dockerfile.parser.instructions import Heredoc
from ocibuild.dockerfile.parser.lines import SURROGATE
from ocibuild.dockerfile.shell.words import raw_words
from ocibuild.errors import DockerfileError
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from ocibuild.dockerfile.parser.lines import LineReader, LogicalLine

_WORD = re.compile(r"[0-9]*+<<(-?)[\t\n\f\r ]*+([^<]*+)")
_PLAIN = re.compile(r"[\w./-]+")
_TABS = re.compile("^\t+", re.MULTILINE)
_QUOTES = re.compile("['\"]")
_OPENERS = frozenset({"ADD", "COPY", "RUN"})


class Opener(NamedTuple):
    """A word that opens a document, as written, and what it says of it."""

    word: str
    name: str
    expand: bool
    strip_tabs: bool


def parse_opener(word: str) -> Opener | None:
    """Return what ``word`` opens (``<<EOF``, ``<<-EOF``, ``3<<"EOF"``), None where it opens nothing.

    Raises DockerfileError for quotes that are not closed.
    """
    found = _WORD.fullmatch(word)
    if found is None or not found[2]:
        return None
    strip_tabs, name = bool(found[1]), found[2]
    if _PLAIN.fullmatch(name):
        return Opener(word, name, expand=True, strip_tabs=strip_tabs)
    words = raw_words(name, quotes=False, escapes=False)
    if len(words) != 1:
        return None
    quoted = raw_words(name, escapes=False)
    expand = len(_QUOTES.findall(words[0])) == len(_QUOTES.findall("".join(quoted)))
    return Opener(word, words[0], expand, strip_tabs)


def find_openers(text: str) -> list[Opener]:
    """Return what the words of a line open, in order; nothing where its quotes are not closed."""
    if "<<" not in text:
        return []
    try:
        words = raw_words(text)
    except DockerfileError:
        return []
    return [opener for opener in map(parse_opener, words) if opener is not None]


def with_documents(line: LogicalLine, reader: LineReader) -> LogicalLine:
    """Return ``line`` with the documents that it opens, read from the lines after it.

    Raises DockerfileError for one that does not end, which takes all lines there are, and for a name that is none.
    """
    if "<<" not in line.text or not _takes_documents(line.text):
        return line
    with located(line.location):
        openers = find_openers(line.text)
    first, documents = line.location.first, []
    for opener in openers:
        raw = reader.document(opener.name, strip_tabs=opener.strip_tabs)
        if raw is None:
            raise DockerfileError(
                f"the heredoc {_shown(opener.word)} is not terminated",
                remedy=f"end it with a line that is {_shown(opener.name)} alone",
                location=reader.since(first),
            )
        documents.append(document(opener, raw))
    return line._replace(documents=tuple(documents), location=reader.since(first))


def _shown(word: str) -> str:
    return word if word.isprintable() else repr(word)


def _takes_documents(text: str) -> bool:
    """Whether ``text`` is RUN, COPY or ADD, or ONBUILD with one of these, and not in JSON form."""
    statement = split_statement(text)
    if statement.name.upper() == "ONBUILD" and statement.rest:
        statement = split_statement(statement.rest)
    if statement.name.upper() not in _OPENERS:
        return False
    try:
        return json_strings(statement.rest) is None
    except DockerfileError:
        return False


def document(opener: Opener, raw: str) -> Heredoc:
    """Return the document ``raw`` as ``opener`` wants it; only what is not expanded keeps bytes that are no UTF-8."""
    content = _TABS.sub("", raw) if opener.strip_tabs else raw
    if opener.expand and not content.isascii():
        content = SURROGATE.sub("\ufffd", content)
    return Heredoc(opener.name, content, opener.expand, opener.word, raw)
