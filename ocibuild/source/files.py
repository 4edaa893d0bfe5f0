"""The files below a root that COPY and ADD see: without what is excluded, in a fixed order, never through a symlink."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Protocol

from ocibuild.errors import SourceError
from ocibuild.source.choice import Choice
from ocibuild.values import NamedTuple, dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

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
    ``include`` is the pattern of what is taken below it, where that is not all (``--parents``).
    """

    name: str
    path: str
    status: os.stat_result
    include: str | None = None

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, whose contents are copied."""
        return stat.S_ISDIR(self.status.st_mode)


class Found(NamedTuple):
    """A file, directory or symlink at or below a selected one; ``name`` is relative to that, and empty for itself.

    ``is_parent`` is a directory that is taken only for what is below it.
    """

    name: str
    status: os.stat_result
    is_parent: bool = False


def walk(
    root: Root, selected: Selected, *, excluded: Exclusion | None = None, exclude: Sequence[str] = ()
) -> Iterator[Found]:
    """Yield ``selected`` itself, then what is taken below it, a directory before what it holds, sorted by the names in
    each directory.

    Nothing that is excluded is opened or looked at, nor a directory without anything to take; a directory that is
    excluded shows up only where something below it is kept. ``exclude`` are the patterns of ``--exclude``. Sockets are
    left out, as no layer can hold one. Symlinks are not followed. Files that vanish meanwhile are passed over. Raises
    SourceError for a directory that cannot be read, or a malformed pattern.
    """
    choice = Choice(None if selected.include is None else (selected.include,), exclude)
    yield Found("", selected.status)
    if not selected.is_directory:
        return
    found = walk_hidden(root, selected.path, excluded, enters=choice.may_take_below)
    there = (one for one, _ in _where_needed(found))
    if choice.is_everything:
        yield from there
    else:
        chosen = _where_needed((one, not choice.takes(one.name)) for one in there)
        yield from (one._replace(is_parent=is_parent) for one, is_parent in chosen)


def _where_needed(found: Iterable[tuple[Found, bool]]) -> Iterator[tuple[Found, bool]]:
    """Pass on what is not hidden, and of what is hidden the directories above that, each before what it holds."""
    held: list[Found] = []
    for one, hidden in found:
        while held and not one.name.startswith(held[-1].name + "/"):
            held.pop()
        if not hidden:
            yield from ((parent, True) for parent in held)
            held.clear()
            yield one, False
        elif stat.S_ISDIR(one.status.st_mode):
            held.append(one)


def walk_hidden(
    root: Root, top: str, excluded: Exclusion | None, *, enters: Callable[[str], bool] = lambda _: True
) -> Iterator[tuple[Found, bool]]:
    """Yield what is below the directory ``top``; hidden is a directory kept only for what may be below it.

    Directories for which ``enters`` is false are not opened, unless they are hidden.
    """
    pending = children(root, top, excluded)[::-1]
    while pending:
        found, hidden = pending.pop()
        yield found, hidden
        if stat.S_ISDIR(found.status.st_mode) and (hidden or enters(found.name)):
            below = children(root, join(top, found.name), excluded, prefix=f"{found.name}/")
            pending += below[::-1]


def children(root: Root, path: str, excluded: Exclusion | None, *, prefix: str = "") -> list[tuple[Found, bool]]:
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
        name = join(path, entry.name)
        hidden = excluded.excludes(name)
        if hidden and not (entry.is_dir(follow_symlinks=False) and excluded.may_keep_below(name)):
            return None
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return None if stat.S_ISSOCK(status.st_mode) else (Found(prefix + entry.name, status), hidden)


def join(directory: str, name: str) -> str:
    """Return the name of ``name`` in ``directory``, each of which may be empty."""
    return f"{directory}/{name}" if directory and name else directory or name
