"""What has changed in a tree, brought into a snapshot in the form that overlayfs would have given it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, assert_never

from ocibuild.fs import Cursor
from ocibuild.layer.changes import Changed, Opaque, Removed
from ocibuild.layer.copying import FileCopier, copy_attributes
from ocibuild.layer.materialise import link_from
from ocibuild.layer.whiteouts import make_opaque, make_whiteout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocibuild.layer.changes import Change


def capture(changes: Iterable[Change], tree: str, upper: str) -> list[str]:
    """Copy what ``changes`` say of ``tree`` into the empty folder ``upper``; directories come before what is in them.

    Returns the names of what had to be opened to us for the moment: their ctimes are others now. Raises OSError.
    """
    with Cursor(tree) as source, Cursor(upper) as target:
        capturing = _Capture(source, target)
        for change in changes:
            capturing.add(change)
        capturing.finish()
    return [*source.lifted, *capturing.lifted]


class _Capture:
    def __init__(self, source: Cursor, target: Cursor) -> None:
        self.lifted: list[str] = []
        self._source = source
        self._target = target
        self._copier = FileCopier()
        self._directories: list[str] = []
        self._links: dict[tuple[int, int], str] = {}

    def add(self, change: Change) -> None:
        match change:
            case Changed(name):
                self._copy(name)
            case Removed(name):
                last = self._target.to_parent_of(name)
                make_whiteout(self._target.fd, last)
            case Opaque(name):
                last = self._target.to_parent_of(name)
                make_opaque(self._target.fd, last)
            case _:
                assert_never(change)

    def finish(self) -> None:
        """Give the directories all that they are, now that they are full."""
        for name in reversed(self._directories):
            self._source.go(name.split("/"))
            self._target.go(name.split("/"))
            copy_attributes(self._source.fd, self._target.fd, mode=self._source.mode)

    def _copy(self, name: str) -> None:
        last = self._source.to_parent_of(name)
        self._target.to_parent_of(name)
        source, target = self._source.fd, self._target.fd
        status = os.stat(last, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(last, 0o700, dir_fd=target)
            self._directories.append(name)
            return
        first = self._links.setdefault((status.st_dev, status.st_ino), name) if status.st_nlink > 1 else name
        if first != name:
            link_from(self._target, first, last)
            return
        self._copier.copy(source, last, target, last, status)
        if os.stat(last, dir_fd=source, follow_symlinks=False).st_ctime_ns != status.st_ctime_ns:
            self.lifted.append(name)
