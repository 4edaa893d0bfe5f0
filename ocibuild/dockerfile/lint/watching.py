"""Which variables a word uses, and the nearest known name to one that is not known."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ocibuild.dockerfile.shell.words import expand_word
from ocibuild.errors import DockerfileError
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from ocibuild.dockerfile.parser.instructions import Arg

_FARTHEST = 2
_LONGEST = 64


class Watched(Mapping[str, str]):
    """Variables that remember, in order, which names were ``found`` in them and which were ``missed``."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.found: dict[str, None] = {}
        self.missed: dict[str, None] = {}

    def __getitem__(self, name: str) -> str:
        try:
            value = self._variables[name]
        except KeyError:
            self.missed[name] = None
            raise
        self.found[name] = None
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def expand_watched(text: str, variables: Mapping[str, str], *, escape: str) -> tuple[str | None, Watched]:
    """Return ``text`` with its variables replaced, None where that is an error, and what was looked for in them."""
    watched = Watched(variables)
    try:
        return expand_word(text, watched, escape=escape), watched
    except DockerfileError:
        return None, watched


class Declared(NamedTuple):
    """One name of an ARG: its value here, None where there is none.

    ``missed`` is what its default uses that is not among the ``variables`` it sees.
    """

    name: str
    value: str | None
    missed: Iterable[str]
    variables: Mapping[str, str]


def declarations(
    instruction: Arg,
    variables: Mapping[str, str],
    build_args: Mapping[str, str],
    *,
    escape: str,
    inherited: Mapping[str, str] | None = None,
) -> Iterator[Declared]:
    """Yield what an ARG declares; a default sees the names before it, and ``inherited`` are the global arguments."""
    own: dict[str, str] = {}
    seen = ChainMap(own, variables)  # type: ignore[arg-type]  # the variables are not written to
    for name, default in instruction.pairs:
        value = build_args.get(name)
        missed: tuple[str, ...] = ()
        if value is None and default is not None:
            value, watched = expand_watched(default, seen, escape=escape)
            missed = tuple(watched.missed)
        yield Declared(name, value, missed, seen)
        value = (inherited or {}).get(name) if value is None else value
        if value is not None:
            own[name] = value


class Speller:
    """Finds names that were meant; after ``budget`` comparisons it finds none, so that time has a bound."""

    def __init__(self, budget: int = 10_000) -> None:
        self._left = budget

    def similar(self, word: str, known: Iterable[str]) -> str:
        """Return the one of ``known`` that is at most two letters away from ``word`` and nearest; empty for none.

        Of two that are equally near it is the first. A long word is like none.
        """
        best, distance = "", _FARTHEST + 1
        for name in known if len(word) <= _LONGEST else ():
            if abs(len(name) - len(word)) < distance and self._left > 0:
                self._left -= 1
                if (found := _distance(word, name)) < distance:
                    best, distance = name, found
        return best


def _distance(one: str, other: str) -> int:
    """Return how many letters must be added, removed or replaced to make ``one`` of ``other``, up to too many."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        diagonal, row[0] = row[0], number
        for column, theirs in enumerate(other, 1):
            replaced = diagonal + (letter != theirs)
            diagonal, row[column] = row[column], min(replaced, row[column] + 1, row[column - 1] + 1)
        if min(row) > _FARTHEST:
            break
    return max(row[-1], min(row))
