"""A layer finished once the layers below it are there, so that layers can be unpacked at the same time.

Most layers need none of this: it is for those that leave out directories, or link to files of the layers below.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ocibuild.errors import InvalidLayer
from ocibuild.fs import same_times, status_of
from ocibuild.layer.copying import FileCopier, copy_attributes
from ocibuild.layer.entry import shown
from ocibuild.layer.faults import translating
from ocibuild.layer.merged import Found, Merged
from ocibuild.layer.whiteouts import is_opaque, is_whiteout, make_opaque

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocibuild.fs import Root
    from ocibuild.layer.apply import Applied
    from ocibuild.layer.limits import Allowance

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ASIDE = ".wh..wh.aside"
"""Where a directory waits to be moved: no entry of a layer can have this name."""


def settle(root: Root, applied: Applied, lowers: Sequence[Root], allowance: Allowance | None = None) -> None:
    """Finish the layer in ``root`` for its place above ``lowers``, which are settled, the top-most first.

    A directory without an entry gets mode, owner, times and extended attributes from the directory below. Where a
    symlink is below, what was unpacked moves to where that leads, inside the root. A hard link to a file of the layers
    below becomes a copy of it, which ``allowance`` counts. Safe to repeat. Raises NoSpace, and InvalidLayer for a link
    to nothing or a copy too many.
    """
    if not applied.implied and not applied.links:
        return
    settler = _Settler(root, lowers, allowance)
    for name in applied.implied:
        with translating(name):
            settler.adopt(name)
    for name, target in applied.links:
        with translating(name):
            settler.copy(name, target)


class _Settler:
    def __init__(self, root: Root, lowers: Sequence[Root], allowance: Allowance | None) -> None:
        self._root = root
        self._allowance = allowance
        self._all = Merged([root, *lowers])
        self._below = self._all.below()
        self._moves: dict[str, str] = {}
        self._times_moved = 0
        self._copies: dict[str, str] = {}
        self._copier = FileCopier()

    def adopt(self, name: str) -> None:
        """Make the directory ``name`` what the layers below say it is."""
        name = self._moved(name)
        here = self._all.find(name)
        if here is None or here.root is not self._root or not stat.S_ISDIR(here.status.st_mode):
            return
        if self._all.is_covered(name):
            return
        lower = self._below.find(name)
        if lower is None:
            return
        if stat.S_ISDIR(lower.status.st_mode):
            self._copy_attributes(lower.root, name)
        elif stat.S_ISLNK(lower.status.st_mode):
            self._move_behind_link(name)

    def _moved(self, name: str) -> str:
        """Return what a name is called now that a directory above it has been moved, or several one after the other."""
        for _ in range(self._times_moved):
            source = next((parent for parent in _parents(name) if parent in self._moves), None)
            if source is None:
                break
            destination, rest = self._moves[source], name[len(source) + 1 :]
            name = rest if destination == "." else f"{destination}/{rest}"
        return name

    def copy(self, name: str, target: str) -> None:
        """Make ``name`` the file that ``target`` is in the merged tree."""
        target = self._all.resolve(target, follow_last=False)
        name = self._all.resolve(name, follow_last=False)
        source = self._copies.setdefault(target, target)
        found = self._all.find(source)
        if found is None or stat.S_ISDIR(found.status.st_mode):
            raise InvalidLayer(f"{shown(name)}: a hard link to {shown(target)}, which is no file of this image")
        self._make_directory(name.rpartition("/")[0] or ".")
        with self._root.parent_of(name) as (dir_fd, last), same_times(dir_fd):
            if _is_free(dir_fd, last):
                self._copy_to(dir_fd, last, found, source)
        if found.root is not self._root:
            self._copies[target] = name

    def _copy_to(self, dir_fd: int, last: str, found: Found, source: str) -> None:
        """Copy a file of the layers below, or link to one of this layer."""
        with found.root.parent_of(source) as (source_fd, source_last):
            if found.root is self._root:
                os.link(source_last, last, src_dir_fd=source_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
            else:
                if self._allowance is not None:
                    self._allowance.take(found.status.st_size)
                self._copier.copy(source_fd, source_last, dir_fd, last, found.status)

    def _copy_attributes(self, lower: Root, name: str) -> None:
        source = _open_directory(lower, name)
        try:
            destination = _open_directory(self._root, name)
            try:
                copy_attributes(source, destination)
            finally:
                os.close(destination)
        finally:
            os.close(source)

    def _make_directory(self, name: str) -> None:
        """Make the real name ``name`` a directory of this layer, its parents too, as the layers below have them."""
        missing = []
        while name != "." and not self._has(name):
            missing.append(name)
            name = name.rpartition("/")[0] or "."
        for directory in reversed(missing):
            with self._root.parent_of(directory) as (dir_fd, last), same_times(dir_fd):
                os.mkdir(last, 0o755, dir_fd=dir_fd)
                os.chmod(last, 0o755, dir_fd=dir_fd)  # whatever our umask
                os.utime(last, (0, 0), dir_fd=dir_fd)
            self._all.made(directory)
            self.adopt(directory)

    def _has(self, name: str) -> bool:
        found = self._all.find(name)
        if found is None:
            return False
        if not stat.S_ISDIR(found.status.st_mode):
            raise InvalidLayer(f"{shown(name)} is not a directory in the layers below, but must be one")
        return found.root is self._root

    def _move_behind_link(self, name: str) -> None:
        """Move what is in the directory ``name`` to where the symlink of that name in the layers below leads."""
        with self._root.parent_of(name) as (dir_fd, last), same_times(dir_fd), same_times(self._root.fd):
            os.rename(last, _ASIDE, src_dir_fd=dir_fd, dst_dir_fd=self._root.fd)
        self._all.forget()
        destination = self._all.resolve(name)
        self._make_directory(destination)
        self._merge(_ASIDE, destination)
        with same_times(self._root.fd):
            self._root.remove(_ASIDE)
        self._all.forget()
        self._moves[name] = destination
        self._times_moved += 1

    def _merge(self, source: str, destination: str) -> None:
        """Move all that is in one directory of this layer into another; what is there already stays."""
        pending = [(source, destination)]
        while pending:
            source, destination = pending.pop()
            source_fd = _open_directory(self._root, source)
            destination_fd = _open_directory(self._root, destination)
            try:
                with same_times(destination_fd):
                    pending += [
                        (f"{source}/{name}", name if destination == "." else f"{destination}/{name}")
                        for name in os.listdir(source_fd)
                        if _move(source_fd, destination_fd, name)
                    ]
                if is_opaque(source_fd):
                    make_opaque(destination_fd, ".")
            finally:
                os.close(source_fd)
                os.close(destination_fd)


def _move(source_fd: int, destination_fd: int, name: str) -> bool:
    """Move one name; return True where both are directories, whose contents must be merged.

    As within a layer, a whiteout hides only what is below it: beside it, the other one stays.
    """
    source = os.stat(name, dir_fd=source_fd, follow_symlinks=False)
    there = status_of(destination_fd, name)
    if there is None:
        os.rename(name, name, src_dir_fd=source_fd, dst_dir_fd=destination_fd)
        return False
    if is_whiteout(source):
        if stat.S_ISDIR(there.st_mode):
            make_opaque(destination_fd, name)
        return False
    if is_whiteout(there):
        os.unlink(name, dir_fd=destination_fd)
        os.rename(name, name, src_dir_fd=source_fd, dst_dir_fd=destination_fd)
        if stat.S_ISDIR(source.st_mode):
            make_opaque(destination_fd, name)
        return False
    return stat.S_ISDIR(source.st_mode) and stat.S_ISDIR(there.st_mode)


def _parents(name: str) -> Iterator[str]:
    """Yield the parents of ``name``, the outermost first, without the root."""
    at = name.find("/")
    while at > 0:
        yield name[:at]
        at = name.find("/", at + 1)


def _open_directory(root: Root, name: str) -> int:
    dir_fd, last = root.borrow_parent(name)
    return os.open(last, _OPEN_DIRECTORY, dir_fd=dir_fd)


def _is_free(dir_fd: int, name: str) -> bool:
    """Say whether a copy can be made; a whiteout gives way to it, and what is there already has been made before."""
    status = status_of(dir_fd, name)
    if status is not None and is_whiteout(status):
        os.unlink(name, dir_fd=dir_fd)
        return True
    return status is None
