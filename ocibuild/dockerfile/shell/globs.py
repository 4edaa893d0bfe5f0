r"""The patterns of ``${name#pattern}``, ``${name%pattern}`` and ``${name/pattern/text}``.

``*`` matches any characters, ``?`` any one (neither matches a line end); ``\*``, ``\?`` and ``\\`` match
themselves, and ``\}`` and ``\/`` stand for what they escape. There are no bracket expressions. Every operation takes
time proportional to the value's length times the pattern's: a star is placed once and never tried again.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from ocibuild.errors import DockerfileError
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PATTERN = 1_000
"""Longest pattern, in characters."""

_TEMPLATE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)


@dataclass(frozen=True)
class Glob:
    """A compiled pattern: what stands before, between and after its stars, each a list of one-character regexes."""

    segments: tuple[tuple[str, ...], ...]

    def reversed(self) -> Glob:
        """Return the pattern that matches the reverse of what this one matches."""
        return Glob(tuple(segment[::-1] for segment in self.segments[::-1]))

    @cached_property
    def first(self) -> re.Pattern[str]:
        """What a match begins with, up to the first star."""
        return re.compile("".join(self.segments[0]))

    @cached_property
    def shortest(self) -> re.Pattern[str]:
        """The shortest match at a position: each segment at its first place, which never has to be reconsidered."""
        return re.compile(_joined(self.segments))

    @cached_property
    def longest(self) -> re.Pattern[str]:
        """The longest match at a position: the last segment at its last place, the others at their first."""
        *before, last = self.segments
        if not before:
            return self.first
        return re.compile(_joined(before) + ".*" + "".join(last))

    def find(self, value: str, start: int) -> re.Match[str] | None:
        """Return the leftmost, then longest, match in ``value`` at or after ``start``."""
        while (candidate := self.first.search(value, start)) is not None:
            if len(self.segments) == 1:
                return candidate
            if found := self.longest.match(value, candidate.start()):
                return found
            # A later start on the same line leaves the segments after the first star even less room.
            start = value.find("\n", candidate.start()) + 1
            if start == 0:
                return None
        return None


def _joined(segments: Sequence[Sequence[str]]) -> str:
    first, *rest = ("".join(segment) for segment in segments)
    return first + "".join(f"(?>.*?{segment})" for segment in rest)


def compile_glob(pattern: str) -> Glob:
    """Return ``pattern`` compiled; raises DockerfileError for a wrong escape or one that is too long."""
    if len(pattern) > MAX_PATTERN:
        raise DockerfileError(f"a pattern in a substitution is longer than {MAX_PATTERN} characters")
    segments: list[list[str]] = [[]]
    characters = iter(enumerate(pattern))
    for index, character in characters:
        if character == "*":
            segments.append([])
        elif character == "?":
            segments[-1].append(".")
        elif character != "\\":
            segments[-1].append(re.escape(character))
        elif pattern[index + 1 : index + 2] not in {"}", "/"}:
            _, escaped = next(characters, (0, ""))
            if escaped not in {"*", "?", "\\"}:
                raise DockerfileError(f"invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'")
            segments[-1].append(re.escape(escaped))
    return Glob(tuple(map(tuple, segments)))


def trim_prefix(value: str, pattern: str, *, longest: bool) -> str:
    """Return ``value`` without the shortest (or longest) beginning that ``pattern`` matches."""
    return _trimmed(value, compile_glob(pattern), longest=longest)


def trim_suffix(value: str, pattern: str, *, longest: bool) -> str:
    """Return ``value`` without the shortest (or longest) end that ``pattern`` matches."""
    return _trimmed(value[::-1], compile_glob(pattern).reversed(), longest=longest)[::-1]


def _trimmed(value: str, glob: Glob, *, longest: bool) -> str:
    found = (glob.longest if longest else glob.shortest).match(value)
    return value[found.end() :] if found else value


def replace_first(value: str, pattern: str, text: str) -> str:
    """Return ``value`` with the first, longest match of ``pattern`` replaced by ``text``."""
    found = compile_glob(pattern).find(value, 0)
    return value[: found.start()] + text + value[found.end() :] if found else value


def replace_all(value: str, pattern: str, text: str, *, limit: int) -> str:
    """Return ``value`` with every match of ``pattern`` replaced by ``text``.

    ``$0`` in ``text`` stands for what was matched, ``$$`` for a dollar, and any other ``$name`` for nothing, as in the
    reference implementation. Raises DockerfileError where more than ``limit`` characters would be put in.
    """
    glob = compile_glob(pattern)
    pieces: list[str] = []
    copied = position = grown = 0
    while position <= len(value) and (found := glob.find(value, position)) is not None:
        start, end = found.span()
        pieces.append(value[copied:start])
        if end > copied or start == 0:
            pieces.append(_template(text, found[0]))
            grown += len(pieces[-1])
            if grown > limit:
                raise DockerfileError(f"a substitution makes more than {limit} characters")
        copied, position = end, max(end, position + 1)
    return "".join([*pieces, value[copied:]])


def _template(text: str, matched: str) -> str:
    if "$" not in text:
        return text

    def value(reference: re.Match[str]) -> str:
        if reference[0] == "$$":
            return "$"
        return matched if (reference[1] or reference[2]).strip("0") == "" else ""

    return _TEMPLATE.sub(value, text)
