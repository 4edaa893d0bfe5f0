"""Snapshots applied to trees: what one adds is copied, what it hides is removed."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ocibuild.fs import Cursor, remove_entry, status_of
from ocibuild.layer.copying import FileCopier, copy_attributes
from ocibuild.layer.whiteouts import is_opaque, is_whiteout
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


def materialise(snapshots: Sequence[str], tree: str) -> None:
    """Make the folder ``tree``, which is empty or shows what lies below, the tree of these snapshots, the oldest first.

    Raises OSError.
    """
    copier = FileCopier()
    for path in snapshots:
        with Cursor(path) as source, Cursor(tree) as target:
            _Applier(source, target, copier).apply()


def copy_entry(source_fd: int, source: str, dir_fd: int, name: str) -> None:
    """Make the new ``name`` in ``dir_fd`` a copy of ``source`` in ``source_fd``, with all that it holds.

    ``source`` may be ``.``. Sockets are left out, as in layers. Raises OSError.
    """
    status = os.stat(source, dir_fd=source_fd, follow_symlinks=False)
    if stat.S_ISSOCK(status.st_mode):
        return
    copier = FileCopier()
    if not stat.S_ISDIR(status.st_mode):
        copier.copy(source_fd, source, dir_fd, name, status)
        return
    os.mkdir(name, 0o700, dir_fd=dir_fd)
    with Cursor(source_fd) as original, Cursor(dir_fd) as copy:
        if source != ".":
            original.down(source)
        copy.down(name)
        _Applier(original, copy, copier, [name]).apply()


class _Level(NamedTuple):
    """A directory on the way down; ``is_fresh`` where the tree's has nothing in it that is not of this snapshot."""

    below: list[str]
    is_fresh: bool


class _Applier:
    """Applies one snapshot, which begins where ``source`` stands; both cursors move together.

    ``names`` lead to where ``target`` stands.
    """

    def __init__(self, source: Cursor, target: Cursor, copier: FileCopier, names: Sequence[str] = ()) -> None:
        self._source = source
        self._target = target
        self._copier = copier
        self._names = list(names)
        self._links: dict[tuple[int, int], str] = {}

    def apply(self) -> None:
        top = self._target.fd
        if is_opaque(self._source.fd):
            for name in os.listdir(top):
                remove_entry(top, name)
        trail = [self._fill(is_fresh=not os.listdir(top))]
        while trail:
            if trail[-1].below:
                trail.append(self._enter(trail[-1].below.pop(), is_fresh=trail[-1].is_fresh))
                continue
            trail.pop()
            copy_attributes(self._source.fd, self._target.fd, mode=self._source.mode)
            self._target.keep_mode()
            if trail:
                self._source.up()
                self._target.up()
                self._names.pop()

    def _enter(self, name: str, *, is_fresh: bool) -> _Level:
        """Go into a directory of the snapshot, made in the tree where it has none, and fill that."""
        self._source.down(name)
        there = None if is_fresh else status_of(self._target.fd, name)
        if there is not None and (not stat.S_ISDIR(there.st_mode) or is_opaque(self._source.fd)):
            remove_entry(self._target.fd, name)
            there = None
        if there is None:
            os.mkdir(name, 0o700, dir_fd=self._target.fd)
        self._target.down(name)
        self._names.append(name)
        return self._fill(is_fresh=there is None)

    def _fill(self, *, is_fresh: bool) -> _Level:
        """Bring in all of a directory but the directories in it."""
        source, target = self._source.fd, self._target.fd
        below = []
        for name in os.listdir(source):
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                below.append(name)
                continue
            if not is_fresh and status_of(target, name) is not None:
                remove_entry(target, name)
            if is_whiteout(status) or stat.S_ISSOCK(status.st_mode):
                continue
            if status.st_nlink == 1 or not self._link(name, status):
                self._copier.copy(source, name, target, name, status)
        return _Level(below, is_fresh)

    def _link(self, name: str, status: os.stat_result) -> bool:
        """Link to the copy of a file that has several names in the snapshot; remember the first of them."""
        full = "/".join([*self._names, name])
        first = self._links.setdefault((status.st_dev, status.st_ino), full)
        if first == full:
            return False
        link_from(self._target, first, name)
        return True


def link_from(cursor: Cursor, first: str, name: str) -> None:
    """Make ``name``, in the directory where the cursor stands, a hard link to the file ``first`` of the whole tree."""
    with cursor.another() as other:
        last = other.to_parent_of(first)
        os.link(last, name, src_dir_fd=other.fd, dst_dir_fd=cursor.fd, follow_symlinks=False)
