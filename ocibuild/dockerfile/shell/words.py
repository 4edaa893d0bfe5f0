"""Shell words: quotes, escapes and variables, as in the Dockerfile reference, "Environment replacement".

Known forms: ``$v``, ``${v}``, ``${v:-w}``, ``${v-w}``, ``${v:+w}``, ``${v+w}``, ``${v:?w}``, ``${v?w}``, ``${v#p}``,
``${v##p}``, ``${v%p}``, ``${v%%p}``, ``${v/p/w}``, ``${v//p/w}``, where ``w`` and ``p`` are words again.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from ocibuild.dockerfile.shell.globs import replace_all, replace_first, trim_prefix, trim_suffix
from ocibuild.dockerfile.shell.space import SPACE
from ocibuild.errors import DockerfileError
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DEPTH = 50
"""How deep ``${a:-${b:-…}}`` may nest."""
MAX_GROWTH = 1 << 18
"""How many characters variables may put into one word: twice what Linux takes as one argument of a process."""

_SPACES = re.compile(f"[{SPACE}]+")
_SPECIAL_PARAMETERS = frozenset("@*#?-$!0")
_OPENER = re.compile(r"<(?:<[ \t\r]*)?")


class _Keep(NamedTuple):
    """What is left in the text rather than processed; ``openers`` keeps the blanks after ``<<`` in its word.

    In a ``document`` quotes are characters like any other.
    """

    quotes: bool = False
    escapes: bool = False
    unset: bool = False
    openers: bool = False
    document: bool = False


class _Piece(NamedTuple):
    """A part of a word; ``whole`` where white space in it does not end the word, because it was quoted or escaped."""

    text: str
    whole: bool


def expand_word(text: str, variables: Mapping[str, str], *, escape: str = "\\") -> str:
    """Return ``text`` as one word: variables replaced, quotes and escapes removed, white space kept.

    A variable that is not set is empty. Raises DockerfileError for a syntax error, or what ``${v:?w}`` demands.
    """
    if not _special(escape).search(text):
        return text
    return _join(_Scanner(text, variables, escape, _Keep()).scan())


def expand_words(text: str, variables: Mapping[str, str], *, escape: str = "\\") -> tuple[str, ...]:
    """Return the words of ``text``; what a variable holds is split at white space too, unless it is quoted."""
    return _split(_Scanner(text, variables, escape, _Keep()).scan())


def expand_known(text: str, variables: Mapping[str, str], *, escape: str = "\\") -> str:
    """Return ``text`` with the variables that are set replaced, and all else, quotes included, kept as written."""
    return _join(_Scanner(text, variables, escape, _Keep(quotes=True, unset=True)).scan())


def raw_words(text: str, *, quotes: bool = True, escapes: bool = True) -> tuple[str, ...]:
    """Return the words of ``text`` with their variables, ``quotes`` and ``escapes`` as written; ``<< x`` is one."""
    return _split(_Scanner(text, {}, "\\", _Keep(quotes, escapes, unset=True, openers=True)).scan())


def expand_document(text: str, variables: Mapping[str, str]) -> str:
    """Return ``text`` with its variables replaced and its escapes, which are backslashes, removed; quotes stay."""
    return _join(_Scanner(text, variables, "\\", _Keep(document=True)).scan())


@cache
def _special(escape: str, stop: str = "", quotes: str = "'\"") -> re.Pattern[str]:
    return re.compile(f"[${quotes}{re.escape(escape + stop)}]")


def _join(pieces: list[_Piece]) -> str:
    return "".join([piece.text for piece in pieces])


def _split(pieces: list[_Piece]) -> tuple[str, ...]:
    words: list[str] = []
    current: list[str] = []
    for text, whole in pieces:
        first, *rest = [text] if whole else _SPACES.split(text)
        current.append(first)
        for part in rest:
            words.append("".join(current))
            current = [part]
    words.append("".join(current))
    return tuple(filter(None, words))


class _Scanner:
    """Reads one text from left to right; ``position`` is that of the next character."""

    def __init__(self, text: str, variables: Mapping[str, str], escape: str, keep: _Keep) -> None:
        self.text = text
        self.variables = variables
        self.escape = escape
        self.keep = keep
        self.position = 0
        self.depth = 0
        self.grown = 0

    def peek(self) -> str:
        """Return the next character, empty at the end."""
        return self.text[self.position : self.position + 1]

    def next(self) -> str:
        character = self.peek()
        self.position += 1
        return character

    def scan(self, stop: str = "", *, keep_escapes: bool | None = None) -> list[_Piece]:
        """Read up to ``stop``, or to the end where it is empty."""
        keep = self.keep.escapes if keep_escapes is None else keep_escapes
        pieces: list[_Piece] = []
        special = _special(self.escape, stop + "<" * self.keep.openers, "" if self.keep.document else "'\"")
        while self.position < len(self.text):
            found = special.search(self.text, self.position)
            end = found.start() if found else len(self.text)
            if end > self.position:
                pieces.append(_Piece(self.text[self.position : end], whole=False))
                self.position = end
            if found and found[0] == stop:
                self.position += 1
                return pieces
            if found:
                pieces.append(self.processed(found[0], keep_escapes=keep))
        if stop:
            raise DockerfileError(f"syntax error: missing '{stop}' in ${{…}}")
        return pieces

    def processed(self, character: str, *, keep_escapes: bool) -> _Piece:
        """Read what begins with the special ``character``."""
        if character == "$":
            return _Piece(self.dollar(), whole=False)
        if character == "'":
            return _Piece(self.single_quoted(), whole=True)
        if character == '"':
            return _Piece(self.double_quoted(keep_escapes=keep_escapes), whole=True)
        if character == "<" and (opener := _OPENER.match(self.text, self.position)):
            self.position = opener.end()
            return _Piece(opener[0], whole=True)
        self.position += 1
        return _Piece((self.escape if keep_escapes else "") + self.next(), whole=True)

    def single_quoted(self) -> str:
        end = self.text.find("'", self.position + 1)
        if end < 0:
            raise DockerfileError("a single quote is not closed")
        inside = self.text[self.position + 1 : end]
        self.position = end + 1
        return f"'{inside}'" if self.keep.quotes else inside

    def double_quoted(self, *, keep_escapes: bool) -> str:
        quote = '"' if self.keep.quotes else ""
        parts = [quote]
        special = _special(self.escape)
        self.position += 1
        while found := special.search(self.text, self.position):
            parts.append(self.text[self.position : found.start()])
            self.position = found.start()
            if found[0] == '"':
                self.position += 1
                return "".join([*parts, quote])
            if found[0] == "$":
                parts.append(self.dollar())
            elif found[0] == "'":
                parts.append(self.next())
            else:
                parts.append(self.escaped_in_quotes(keep_escapes=keep_escapes))
        raise DockerfileError("a double quote is not closed")

    def escaped_in_quotes(self, *, keep_escapes: bool) -> str:
        """In double quotes the escape character escapes only a quote, a dollar and itself."""
        self.position += 1
        kept = self.escape if keep_escapes else ""
        if self.peek() and self.peek() in f'"${self.escape}':
            return kept + self.next()
        return kept + self.escape

    def dollar(self) -> str:
        self.position += 1
        if self.peek() == "{":
            self.position += 1
            return self.braced()
        name = self.name()
        if not name:
            return "$"
        if name not in self.variables and self.keep.unset:
            return f"${name}"
        return self.grow(self.variables.get(name, ""))

    def grow(self, value: str) -> str:
        self.grown += len(value)
        if self.grown > MAX_GROWTH:
            raise DockerfileError(f"variables expand to more than {MAX_GROWTH} characters")
        return value

    def name(self) -> str:
        """Read a variable's name: letters, digits and underscores, or digits alone, or one special parameter."""
        start = self.position
        if self.peek().isdecimal():
            while self.peek().isdecimal():
                self.position += 1
        elif self.peek() and self.peek() in _SPECIAL_PARAMETERS:
            self.position += 1
        else:
            while (character := self.peek()).isalpha() or character.isdecimal() or character == "_":
                self.position += 1
        return self.text[start : self.position]

    def braced(self) -> str:
        if not self.peek():
            raise DockerfileError("syntax error: missing '}' in ${…}")
        if self.peek() in "{}:":
            raise DockerfileError("syntax error: bad substitution")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise DockerfileError(f"substitutions are nested more than {MAX_DEPTH} deep")
        value = self.substitution(self.name())
        self.depth -= 1
        return value

    def substitution(self, name: str) -> str:
        """Read the rest of ``${name…}`` and return what it stands for."""
        operator = self.next()
        if operator == "}":
            if name not in self.variables and self.keep.unset:
                return f"${{{name}}}"
            return self.grow(self.variables.get(name, ""))
        if operator == "/":
            return self.replacement(name)
        colon = ":" if operator == ":" else ""
        if colon:
            operator = self.next()
        if not operator:
            raise DockerfileError("syntax error: missing '}' in ${…}")
        if operator not in ("-+?" if colon else "-+?#%"):
            raise DockerfileError(f"unsupported modifier ({colon}{operator}) in substitution")
        word = _join(self.scan("}", keep_escapes=operator in "#%"))
        if name not in self.variables and self.keep.unset:
            return f"${{{name}{colon}{operator}{word}}}"
        if operator in "#%":
            return self.trimmed(name, operator, word)
        return self.chosen(name, operator, word, empty_is_unset=bool(colon))

    def chosen(self, name: str, operator: str, word: str, *, empty_is_unset: bool) -> str:
        value = self.variables.get(name)
        usable = value is not None and not (empty_is_unset and not value)
        if operator == "+":
            return word if usable else ""
        if usable:
            return self.grow(value or "")
        if operator == "-":
            return word
        state = "unset" if value is None else "empty"
        raise DockerfileError(f"{name}: {word or f'is not allowed to be {state}'}")

    def trimmed(self, name: str, operator: str, pattern: str) -> str:
        longest = pattern.startswith(operator)
        trim = trim_prefix if operator == "#" else trim_suffix
        return self.grow(trim(self.variables.get(name, ""), pattern[longest:], longest=longest))

    def replacement(self, name: str) -> str:
        every = self.peek() == "/"
        self.position += every
        pattern = _join(self.scan("/", keep_escapes=True))
        text = _join(self.scan("}", keep_escapes=True))
        if name not in self.variables and self.keep.unset:
            return f"${{{name}/{pattern}/{text}}}"
        value = self.variables.get(name, "")
        if every:
            return self.grow(replace_all(value, pattern, text, limit=MAX_GROWTH))
        return self.grow(replace_first(value, pattern, text))
