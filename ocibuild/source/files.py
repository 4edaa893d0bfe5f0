"""A selection of files below a root, which is what COPY and ADD work on: in a build context or in a stage's tree.

Rules as in BuildKit, whose COPY follows symlinks in a source that is named or matched, the last component included, and
copies the symlinks inside a directory as they are. A wildcard stays within one component of a path, never goes through
a symlink, and may match nothing: ``COPY lock.json* ./`` copies a file where there is one.
"""

from __future__ import annotations

import os
import posixpath
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ocibuild.errors import SourceError, UnsafePath
from ocibuild.fs import Match, PatternError, has_wildcard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ocibuild.fs import Root

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Exclusion(Protocol):
    """Which names of a tree count as not being there; names are relative to its root, without a leading slash."""

    @property
    def file(self) -> str:
        """Where the rules stand, for a message."""

    def excludes(self, name: str) -> bool:
        """Return whether ``name`` itself is left out."""

    def may_keep_below(self, name: str) -> bool:
        """Return whether something below the directory ``name``, which is left out, may be kept nevertheless."""


@dataclass(frozen=True, slots=True)
class Selected:
    """One source of a COPY, after wildcards and symlinks.

    ``name`` is what was asked for or matched, and gives the name at the destination; ``path`` is where its symlinks
    lead. Both are below the root without a leading slash, and empty for the root. ``status`` is the lstat of ``path``.
    """

    name: str
    path: str
    status: os.stat_result

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, whose contents are copied."""
        return stat.S_ISDIR(self.status.st_mode)


class Found(NamedTuple):
    """A file, directory or symlink at or below a selected one; ``name`` is relative to that, and empty for itself."""

    name: str
    status: os.stat_result


def select(
    root: Root, paths: Sequence[str], *, excluded: Exclusion | None = None, what: str = "the source"
) -> tuple[Selected, ...]:
    """Return what ``paths`` stand for below ``root``, in their order; the matches of a wildcard are sorted.

    ``what`` names the tree in messages. Leading ``..`` are dropped, as docker does. Raises SourceError where a path
    without a wildcard does not exist, is left out by ``excluded`` or is a socket, where a symlink that was matched
    leads nowhere, and for a malformed wildcard.
    """
    return tuple(found for path in paths for found in _Selection(root, excluded, what, path).all())


class _Selection:
    """What one path of a COPY stands for."""

    def __init__(self, root: Root, excluded: Exclusion | None, what: str, path: str) -> None:
        self._root = root
        self._excluded = excluded
        self._what = what
        self._path = path

    def all(self) -> Iterator[Selected]:
        parts = _cleaned(self._path)
        plain = next((index for index, part in enumerate(parts) if has_wildcard(part)), len(parts))
        start = "/".join(parts[:plain])
        if plain == len(parts):
            yield self._named(start)
            return
        for name in self._matches(start, [self._matcher(part) for part in parts[plain:]]):
            yield self._named(name)

    def _matches(self, start: str, matchers: Sequence[Callable[[str], bool]]) -> list[str]:
        """Return the names below ``start`` whose components match, one by one."""
        try:
            level = [(start, self._real(start), True)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        for matches in matchers:
            level = [
                (_join(name, found.name), _join(path, found.name), stat.S_ISDIR(found.status.st_mode))
                for name, path, is_directory in level
                if is_directory
                for found, _ in _children(self._root, path, self._excluded)
                if matches(found.name)
            ]
        return [name for name, path, is_directory in level if self._is_there(path, is_directory=is_directory)]

    def _matcher(self, part: str) -> Callable[[str], bool]:
        try:
            return Match(part)
        except PatternError as error:
            raise SourceError(f"{self._shown()} is not a valid pattern", remedy="a [ needs its ]") from error

    def _named(self, name: str) -> Selected:
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
        return any(not hidden for _, hidden in _walk_hidden(self._root, path, self._excluded))

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


def walk(root: Root, selected: Selected, *, excluded: Exclusion | None = None) -> Iterator[Found]:
    """Yield ``selected`` itself, then all below it, a directory before what it holds, sorted by the names in
    each directory.

    Nothing that is excluded is opened or looked at; a directory that is excluded shows up only where something below
    it is kept. Sockets are left out, as no layer can hold one. Symlinks are not followed. Files that vanish meanwhile
    are passed over. Raises SourceError for a directory that cannot be read.
    """
    yield Found("", selected.status)
    if not selected.is_directory:
        return
    held: list[Found] = []
    for found, hidden in _walk_hidden(root, selected.path, excluded):
        while held and not found.name.startswith(held[-1].name + "/"):
            held.pop()
        if hidden:
            held.append(found)
            continue
        if held:
            yield from held
            held.clear()
        yield found


def _walk_hidden(root: Root, top: str, excluded: Exclusion | None) -> Iterator[tuple[Found, bool]]:
    """Yield what is below the directory ``top``; hidden is a directory kept only for what may be below it."""
    pending = _children(root, top, excluded)[::-1]
    while pending:
        found, hidden = pending.pop()
        yield found, hidden
        if stat.S_ISDIR(found.status.st_mode):
            below = _children(root, _join(top, found.name), excluded, prefix=f"{found.name}/")
            pending += below[::-1]


def _children(root: Root, path: str, excluded: Exclusion | None, *, prefix: str = "") -> list[tuple[Found, bool]]:
    """Return what the directory ``path`` holds, sorted, each name with ``prefix``, and whether it is hidden."""
    try:
        with root.parent_of(path or ".") as (parent, last):
            fd = os.open(last, _DIRECTORY, dir_fd=parent)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as error:
        raise SourceError(
            f"the directory {path or '.'!r} cannot be read", remedy="make it readable, or exclude it in .dockerignore"
        ) from error
    try:
        with os.scandir(fd) as entries:
            found = [kept for entry in entries if (kept := _kept(entry, path, excluded, prefix))]
    finally:
        os.close(fd)
    found.sort(key=_name)
    return found


def _name(kept: tuple[Found, bool]) -> str:
    return kept[0].name


def _kept(entry: os.DirEntry[str], path: str, excluded: Exclusion | None, prefix: str) -> tuple[Found, bool] | None:
    hidden = False
    if excluded is not None:
        name = _join(path, entry.name)
        hidden = excluded.excludes(name)
        if hidden and not (entry.is_dir(follow_symlinks=False) and excluded.may_keep_below(name)):
            return None
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return None if stat.S_ISSOCK(status.st_mode) else (Found(prefix + entry.name, status), hidden)


def _cleaned(path: str) -> list[str]:
    """Return the components of ``path`` without empty ones, dots and leading ``..``, as Go's ``path.Clean``."""
    return [part for part in posixpath.normpath("/" + path.lstrip("/")).split("/") if part]


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory and name else directory or name
