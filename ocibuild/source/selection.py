"""What the sources of a COPY or ADD stand for, in a build context or in a stage's tree.

Rules as in BuildKit, whose COPY follows symlinks in a source that is named or matched, the last component included, and
copies the symlinks inside a directory as they are. A wildcard stays within one component of a path, ``**`` too, never
goes through a symlink, and may match nothing: ``COPY lock.json* ./`` copies a file where there is one.

With ``--parents`` a source is a pattern below the pivot ``/./`` in it, or below the root where there is none, and there
``**`` is any number of directories; what stands before the pivot is selected as ever.
"""

from __future__ import annotations

import posixpath
import stat
from typing import TYPE_CHECKING

from ocibuild.errors import SourceError, UnsafePath
from ocibuild.fs import Match, PatternError
from ocibuild.source.files import Selected, children, join, walk_hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ocibuild.fs import Root
    from ocibuild.source.files import Exclusion

_PIVOT = "/./"


def select(
    root: Root,
    paths: Sequence[str],
    *,
    excluded: Exclusion | None = None,
    what: str = "the source",
    parents: bool = False,
    literal: bool = False,
) -> tuple[Selected, ...]:
    """Return what ``paths`` stand for below ``root``, in their order; the matches of a wildcard are sorted.

    ``what`` names the tree in messages; ``parents`` is for ``--parents``; in ``literal`` paths nothing is a wildcard.
    Leading ``..`` are dropped, as docker does. Raises SourceError where a path without a wildcard does not exist, is
    left out by ``excluded`` or is a socket, where what stands before a wildcard or a matched symlink leads nowhere, and
    for a malformed wildcard.
    """
    found: list[Selected] = []
    for path in paths:
        selection = _Selection(root, excluded, what, path)
        if literal:
            found.append(selection.named("/".join(_cleaned(path))))
        elif parents:
            found += selection.with_parents()
        else:
            found += selection.matched(path)
    return tuple(found)


class _Selection:
    """What one path of a COPY stands for; ``path`` is it as written, for messages."""

    def __init__(self, root: Root, excluded: Exclusion | None, what: str, path: str) -> None:
        self._root = root
        self._excluded = excluded
        self._what = what
        self._path = path

    def matched(self, path: str) -> Iterator[Selected]:
        parts = _cleaned(path)
        plain = next((index for index, part in enumerate(parts) if _is_wildcard(part)), len(parts))
        start = "/".join(parts[:plain])
        if plain == len(parts):
            yield self.named(start)
            return
        for name in self._matches(start, [self._matcher(part) for part in parts[plain:]]):
            yield self.named(name)

    def with_parents(self) -> Iterator[Selected]:
        """Select what is before the pivot, with a pattern of what to take below it.

        A pattern without a wildcard must lead somewhere, and not through a symlink: that would be copied as it is.
        """
        top, pivot, below = self._path.partition(_PIVOT)
        if not pivot:
            top, below = "", self._path
        include = "/".join(_cleaned(below))
        for selected in self.matched(top):
            if include and "\\" not in include and not _is_wildcard(top) and not _is_wildcard(include):
                self._require(selected, include)
            yield Selected(selected.name, selected.path, selected.status, include or None)

    def _require(self, selected: Selected, include: str) -> None:
        name = join(selected.path, include)
        above = posixpath.dirname(name)
        try:
            real = self._real(above)
            status = self._root.lstat(name)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._not_found(name) from error
        if real != above:
            raise SourceError(
                f"{self._shown()} goes through a symbolic link, which is not followed with --parents",
                remedy=f"name {join(real, posixpath.basename(name))!r}, or put /./ behind the link",
            )
        if not self._is_there(name, is_directory=stat.S_ISDIR(status.st_mode)):
            raise self._left_out(name)

    def _matches(self, start: str, matchers: Sequence[Callable[[str], bool]]) -> list[str]:
        """Return the names below ``start`` whose components match, one by one."""
        top = self.named(start)
        level = [(start, top.path, top.is_directory)]
        for matches in matchers:
            level = [
                (join(name, found.name), join(path, found.name), stat.S_ISDIR(found.status.st_mode))
                for name, path, is_directory in level
                if is_directory
                for found, _ in children(self._root, path, self._excluded)
                if matches(found.name)
            ]
        return [name for name, path, is_directory in level if self._is_there(path, is_directory=is_directory)]

    def _matcher(self, part: str) -> Callable[[str], bool]:
        try:
            return Match(part)
        except PatternError as error:
            raise SourceError(f"{self._shown()} is not a valid pattern", remedy="a [ needs its ]") from error

    def named(self, name: str) -> Selected:
        """Return what ``name``, which has no wildcard, is once its symlinks are followed."""
        try:
            path = self._real(name)
            status = self._root.lstat(path or ".")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._not_found(name) from error
        is_directory = stat.S_ISDIR(status.st_mode)
        if not all(self._is_there(each, is_directory=is_directory) for each in (name, path)):
            raise self._left_out(name)
        if stat.S_ISSOCK(status.st_mode):
            raise SourceError(f"{self._shown()} is a socket, which no image can hold", remedy="copy something else")
        return Selected(name, path, status)

    def _real(self, name: str) -> str:
        try:
            real = self._root.resolve(name)
        except (FileNotFoundError, NotADirectoryError):
            raise
        except UnsafePath as error:
            raise SourceError(f"{self._shown()}: {error.message}", remedy=error.remedy) from error
        except (OSError, ValueError) as error:  # a name too long, a NUL in it, a directory that may not be searched
            reason = getattr(error, "strerror", None) or error
            raise SourceError(f"{self._shown()} cannot be looked up: {reason}") from error
        return "" if real == "." else real

    def _is_there(self, path: str, *, is_directory: bool) -> bool:
        """Return whether ``path`` is kept, or is a directory that holds something that is."""
        if self._excluded is None or not path or not self._excluded.excludes(path):
            return True
        if not (is_directory and self._excluded.may_keep_below(path)):
            return False
        return any(not hidden for _, hidden in walk_hidden(self._root, path, self._excluded))

    def _shown(self) -> str:
        return f"{self._path!r} in {self._what}"

    def _not_found(self, name: str) -> SourceError:
        if posixpath.normpath(self._path.lstrip("/")).startswith(".."):
            return SourceError(
                f"{self._shown()} lies outside of it", remedy=f"copy what is below {self._what}, or name another one"
            )
        target = self._target(name)
        if target is not None:
            message = f"{self._shown()}: {name!r} is a symbolic link to {target!r}, which does not exist there"
            return SourceError(message, remedy="a link is followed inside the tree only")
        return SourceError(f"{self._shown()} does not exist", remedy=f"paths are relative to {self._what}")

    def _target(self, name: str) -> str | None:
        try:
            return self._root.readlink(name)
        except OSError:
            return None

    def _left_out(self, name: str) -> SourceError:
        file = self._excluded.file if self._excluded is not None else ""
        return SourceError(f"{self._shown()} is excluded by {file}", remedy=f"add the line !{name} to {file}")


def _is_wildcard(text: str) -> bool:
    r"""Tell whether a ``*``, ``?`` or ``[`` is in a text without a backslash before it.

    As in docker, a path without one is no pattern at all: a backslash in it is a part of the name.
    """
    at = 0
    while at < len(text):
        if text[at] in "*?[":
            return True
        at += 2 if text[at] == "\\" else 1
    return False


def _cleaned(path: str) -> list[str]:
    """Return the components of ``path`` without empty ones, dots and leading ``..``, as Go's ``path.Clean``."""
    return [part for part in posixpath.normpath("/" + path.lstrip("/")).split("/") if part]
