"""What a registry asks for: the ``WWW-Authenticate`` header, and scopes (distribution's token specification)."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Final

from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TOKEN: Final = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/=")
_HEADER_LIMIT = 16 << 10  # characters; no honest header comes near


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authorise; ``scheme`` and the names of the parameters are in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Return the challenges of a ``WWW-Authenticate`` header in order; what is not understood ends the list.

    See RFC 9110, section 11.6.1. Several headers may be joined with commas.
    """
    reader = _Reader(header[:_HEADER_LIMIT])
    challenges: list[Challenge] = []
    parameters: dict[str, str] = {}
    while word := reader.word():
        if reader.take("="):
            parameters.setdefault(word.lower(), reader.value())
        else:
            parameters = {}
            challenges.append(Challenge(word.lower(), parameters))
    return tuple(challenges)


class _Reader:
    """A place in the header; each method moves it forward, so the whole takes linear time."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def word(self) -> str:
        """Return the next scheme or name, after blanks and commas; empty where there is none."""
        self._skip(" \t,")
        return self._token("=")

    def value(self) -> str:
        """Return a token or a quoted string."""
        self._skip(" \t")
        return self._quoted() if self.take('"') else self._token("")

    def take(self, character: str) -> bool:
        """Move over ``character`` and the blanks before it, if it comes next."""
        start = self._at
        self._skip(" \t")
        if self._text.startswith(character, self._at):
            self._at += 1
            return True
        self._at = start
        return False

    def _token(self, without: str) -> str:
        start = self._at
        while self._at < len(self._text) and self._text[self._at] in _TOKEN and self._text[self._at] not in without:
            self._at += 1
        return self._text[start : self._at]

    def _quoted(self) -> str:
        characters: list[str] = []
        while self._at < len(self._text) and self._text[self._at] != '"':
            if self._text[self._at] == "\\":
                self._at += 1
            characters.append(self._text[self._at : self._at + 1])
            self._at += 1
        self._at += 1
        return "".join(characters)

    def _skip(self, characters: str) -> None:
        while self._at < len(self._text) and self._text[self._at] in characters:
            self._at += 1


def repository_scope(repository: str, *, push: bool) -> str:
    """Return the scope for work in ``repository``: ``repository:NAME:pull`` or ``repository:NAME:pull,push``."""
    return f"repository:{repository}:{'pull,push' if push else 'pull'}"


def merge_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return ``scopes`` with those of one resource made one, in order of first mention."""
    merged: dict[str, dict[str, None]] = {}
    for scope in scopes:
        resource, colon, actions = scope.rpartition(":")
        if colon:
            merged.setdefault(resource, {}).update(dict.fromkeys(actions.split(",")))
    return tuple(f"{resource}:{','.join(actions)}" for resource, actions in merged.items())
