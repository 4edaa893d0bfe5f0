r"""Patterns for names, as Go's ``filepath.Match`` has them, and the lists of them in a ``.dockerignore``.

``*`` stands for any characters and ``?`` for one, but never for a slash; ``[a-z]`` and ``[^a-z]`` for one of a class;
``\`` makes the next character plain. In a list ``**`` stands for any number of directories. A pattern may come from a
stranger, so none may take long: where regular expressions could, the states are followed side by side.
"""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING, TypeAlias

from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_CACHED_DIRECTORIES = 4096


class PatternError(ValueError):
    """A pattern that is malformed; the message is one line."""


def has_wildcard(pattern: str) -> bool:
    """Say whether the pattern may match any other name than itself, or holds an escape."""
    return any(character in pattern for character in "*?[\\")


def literal_start(pattern: str) -> list[str]:
    """Return the components of a pattern before the first that may match another name than itself."""
    return list(takewhile(lambda part: not has_wildcard(part), pattern.split("/")))


def may_match_below(directory: str, starts: Iterable[Sequence[str]]) -> bool:
    """Say whether patterns with these literal starts may match something below ``directory``, or it itself."""
    parts = directory.split("/")
    return any(all(map(str.__eq__, parts, start)) for start in starts)


class Match:
    """A compiled pattern: called with a name, it says whether the whole name matches; PatternError if malformed."""

    def __init__(self, pattern: str) -> None:
        self._matches = _compiled(list(_tokens(pattern, directories=False)))

    def __call__(self, name: str) -> bool:
        """Say whether the whole of ``name`` matches."""
        return self._matches(name)


class IgnorePatterns:
    """Patterns in order, each with an optional ``!`` before it; the last one that matches a name decides.

    A pattern that matches a directory matches all that is in it. Patterns are clean: no white space around them, no
    leading slash. Raises PatternError where one is malformed. Not to be shared between threads.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._excludes: list[bool] = []
        self._matchers: list[Callable[[str], bool]] = []
        for pattern in patterns:
            self._excludes.append(not pattern.startswith("!"))
            self._matchers.append(_compiled(list(_list_tokens(pattern.removeprefix("!")))))
        self._nothing = (False,) * len(self._matchers)
        self._directories: dict[str, tuple[bool, ...]] = {}

    def matches(self, name: str) -> bool:
        """Say whether ``name``, relative and clean, is excluded."""
        excluded = False
        for matched, excludes in zip(self._results(name, self._above(name)), self._excludes, strict=True):
            if matched:
                excluded = excludes
        return excluded

    def _above(self, name: str) -> tuple[bool, ...]:
        """Return which patterns match a parent of ``name``; siblings share the answer."""
        results = self._nothing
        slash = name.find("/")
        while slash > 0:
            parent = name[:slash]
            known = self._directories.get(parent)
            if known is None:
                known = self._results(parent, results)
                self._remember(parent, known)
            results = known
            slash = name.find("/", slash + 1)
        return results

    def _remember(self, parent: str, results: tuple[bool, ...]) -> None:
        if len(self._directories) >= _CACHED_DIRECTORIES:
            self._directories.clear()
        self._directories[parent] = results

    def _results(self, name: str, above: tuple[bool, ...]) -> tuple[bool, ...]:
        """Return which patterns match, given which match a parent.

        As in docker, one that could not change the verdict so far is not tried, and so counts as no match for what is
        below ``name`` too.
        """
        results = []
        excluded = False
        for matched, matcher, excludes in zip(above, self._matchers, self._excludes, strict=True):
            found = matched or (excludes is not excluded and matcher(name))
            results.append(found)
            if found:
                excluded = excludes
        return tuple(results)


@dataclass(frozen=True, slots=True)
class _Class:
    """One character of some ranges, or with ``negated`` of none of them; a slash is never one."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def __contains__(self, character: str) -> bool:
        return character != "/" and any(low <= character <= high for low, high in self.ranges) != self.negated

    def expression(self) -> str:
        ranges = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in self.ranges if low <= high)
        if self.negated:
            return f"[^/{ranges}]"
        return f"(?!/)[{ranges}]" if ranges else "(?!)"


@dataclass(frozen=True, slots=True)
class _Star:
    """Any number of characters, without a slash."""


@dataclass(frozen=True, slots=True)
class _Directories:
    """Nothing, or anything up to a slash."""


@dataclass(frozen=True, slots=True)
class _Anything:
    """Any number of characters."""


_Piece: TypeAlias = "str | _Class | _Star | _Directories | _Anything"
_NOT_A_SLASH = _Class((), negated=True)


def _list_tokens(pattern: str) -> Iterator[_Piece]:
    if not pattern:
        raise PatternError("'!' stands alone: a pattern must follow it")
    end = pattern.removeprefix("**")
    if end != pattern and not end.startswith("/") and end and not any(character in "*?[]\\" for character in end):
        # as docker's library, which compares the ends of names then: **.md is any name that ends so
        return iter([_Anything(), *end])
    tokens = list(_tokens(pattern, directories=True))
    if any(low > high for token in tokens if isinstance(token, _Class) for low, high in token.ranges):
        # as docker's library, which makes a regular expression of it
        raise PatternError(f"{pattern!r}: a range in it goes down")
    return iter(tokens)


def _tokens(pattern: str, *, directories: bool) -> Iterator[_Piece]:
    """Yield what the pattern is made of; a ``str`` is one plain character."""
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*" and directories and pattern[at : at + 1] == "*":
            at += 1
            at += pattern[at : at + 1] == "/"
            yield _Directories() if at < len(pattern) else _Anything()
        elif character == "*":
            yield _Star()
        elif character == "?":
            yield _NOT_A_SLASH
        elif character == "[":
            found, at = _class(pattern, at)
            yield found
        elif character == "\\":
            plain, at = _plain(pattern, at - 1)
            yield plain
        else:
            yield character


def _class(pattern: str, at: int) -> tuple[_Class, int]:
    """Read a class after its bracket: ``^``? then single characters and ranges up to ``]``, at least one."""
    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges: list[tuple[str, str]] = []
    while not (ranges and pattern[at : at + 1] == "]"):
        low, at = _member(pattern, at)
        high = low
        if pattern[at : at + 1] == "-":
            high, at = _member(pattern, at + 1)
        ranges.append((low, high))
    return _Class(tuple(ranges), negated), at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at : at + 1] in ("", "-", "]"):
        raise PatternError(f"{pattern!r}: the class after '[' is malformed")
    return _plain(pattern, at)


def _plain(pattern: str, at: int) -> tuple[str, int]:
    """Read one character, which a backslash may stand before."""
    if pattern[at] == "\\":
        at += 1
    if at == len(pattern):
        raise PatternError(f"{pattern!r} ends with a backslash that escapes nothing")
    return pattern[at], at + 1


def _compiled(tokens: Sequence[_Piece]) -> Callable[[str], bool]:
    if sum(isinstance(token, _Directories) for token in tokens) > 1:
        return lambda name: _simulate(tokens, name)
    expression = re.compile(_expression(tokens), re.DOTALL)
    return lambda name: expression.fullmatch(name) is not None


def _expression(tokens: Sequence[_Piece]) -> str:
    """Return a regular expression that takes linear time: for each ``**`` that it has, once more.

    What stands between two stars is best matched as early as possible, and then never again: an atomic group.
    """
    parts: list[str] = []
    open_star = False
    for token in tokens:
        match token:
            case _Star():
                parts.append(")(?>[^/]*?" if open_star else "(?>[^/]*?")
                open_star = True
            case _Directories() | _Anything():
                parts.append(")" if open_star else "")
                open_star = False
                parts.append("(?:.*/)?" if isinstance(token, _Directories) else ".*")
            case _Class():
                parts.append(token.expression())
            case _:
                parts.append(re.escape(token))
    if open_star:
        last = max(index for index, part in enumerate(parts) if "(?>" in part)
        parts[last] = parts[last].replace("(?>[^/]*?", "(?:[^/]*")
        parts.append(")")
    return "".join(parts)


def _simulate(tokens: Sequence[_Piece], name: str) -> bool:
    """Follow all states that the characters of ``name`` can lead to; a state is a token, and whether we are in it."""
    states = _closure({(0, False)}, tokens)
    for character in name:
        following: set[tuple[int, bool]] = set()
        for at, _ in states:
            if at < len(tokens):
                following |= _step(tokens[at], at, character)
        states = _closure(following, tokens)
    return any(at == len(tokens) for at, _ in states)


def _step(token: _Piece, at: int, character: str) -> set[tuple[int, bool]]:
    match token:
        case _Directories():
            return {(at, True), (at + 1, False)} if character == "/" else {(at, True)}
        case _Anything():
            return {(at, False)}
        case _Star():
            return {(at, False)} if character != "/" else set()
        case _Class():
            return {(at + 1, False)} if character in token else set()
        case _:
            return {(at + 1, False)} if character == token else set()


def _closure(states: set[tuple[int, bool]], tokens: Sequence[_Piece]) -> set[tuple[int, bool]]:
    """Add the states that are reached without a character: those behind a token that may stand for nothing."""
    pending = list(states)
    while pending:
        at, is_inside = pending.pop()
        if at < len(tokens) and not is_inside and isinstance(tokens[at], (_Star, _Directories, _Anything)):
            behind = (at + 1, False)
            if behind not in states:
                states.add(behind)
                pending.append(behind)
    return states
