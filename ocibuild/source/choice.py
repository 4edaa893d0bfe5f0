"""What a COPY takes of a directory: all below it, or what some patterns match, and not what others do.

The patterns are those of ``.dockerignore``, held against names that are relative to the directory. A directory that no
pattern takes is there nevertheless where something below it is taken, as its parent.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from ocibuild.errors import SourceError
from ocibuild.fs import IgnorePatterns, PatternError, literal_start, may_match_below

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Choice:
    """``include`` is what is taken, all where it is None; ``exclude`` is what is left out of that (``--exclude``).

    Raises SourceError for a malformed pattern. Not to be shared between threads.
    """

    def __init__(self, include: Sequence[str] | None = None, exclude: Sequence[str] = ()) -> None:
        included = None if include is None else _clean(include)
        excluded = _clean(exclude)
        self._include = None if included is None else _compiled(included, "the source")
        self._exclude = _compiled(excluded, "--exclude")
        self._included_below = [literal_start(pattern) for pattern in included or ()]
        self._exceptions = [literal_start(pattern[1:]) for pattern in excluded if pattern.startswith("!")]
        self.is_everything = included is None and not excluded

    def takes(self, name: str) -> bool:
        """Say whether ``name`` itself is taken."""
        if self._include is not None and not self._include.matches(name):
            return False
        return not self._exclude.matches(name)

    def may_take_below(self, name: str) -> bool:
        """Say whether something below the directory ``name`` may be taken."""
        if self._exclude.matches(name) and not may_match_below(name, self._exceptions):
            return False
        return self._include is None or self._include.matches(name) or may_match_below(name, self._included_below)


def _clean(patterns: Iterable[str]) -> list[str]:
    """Return the patterns as docker's library reads them: cleaned, but a leading slash stays and matches nothing."""
    stripped = (pattern.strip() for pattern in patterns)
    return [posixpath.normpath(pattern) for pattern in stripped if pattern]


def _compiled(patterns: Sequence[str], what: str) -> IgnorePatterns:
    try:
        return IgnorePatterns(patterns)
    except PatternError as error:
        raise SourceError(f"{what}: {error}", remedy="correct the pattern") from error
