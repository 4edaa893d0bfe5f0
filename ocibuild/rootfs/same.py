"""Whether two steps changed the same: their snapshots compared entry by entry, up to the first difference."""

from __future__ import annotations

import os
import stat
import time
from contextlib import ExitStack
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from ocibuild.fs import Root, have_same_bytes, open_readable
from ocibuild.layer.whiteouts import is_opaque, is_whiteout
from ocibuild.layer.xattrs import read_xattrs
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from ocibuild.layer.owners import Ownership

_GRAIN = 2_000_000_000
"""The coarsest times, in nanoseconds, that archives and file systems have."""


class Changes(NamedTuple):
    """An upper directory, and when its step began, in nanoseconds since 1970."""

    upper: str
    begun: int


def same_changes(one: Changes, other: Changes, ownership: Ownership) -> bool:
    """Tell whether the changes of two steps on one base would give the same layer, but for the time of day.

    Names, types, modes, owners, devices, link targets, second names, extended attributes, whiteouts and bytes count,
    and times of modification that somebody has set: those of before a step, or to come. No file is read before all
    the rest is found to be the same. Raises OSError.
    """
    with Root.open(one.upper) as left, Root.open(other.upper) as right:
        comparison = _Comparison(left, right, ownership, (one.begun, other.begun))
        if is_opaque(left.fd) != is_opaque(right.fd) or not comparison.all_alike():
            return False
        return all(_same_bytes(left, right, name) for name in comparison.files)


class _Comparison:
    """The entries of two trees held against each other; ``files`` are those whose bytes are still to be compared."""

    def __init__(self, left: Root, right: Root, ownership: Ownership, begun: tuple[int, int]) -> None:
        self._begun = begun
        self._now = time.time_ns()
        self.files: list[str] = []
        self._left = left
        self._right = right
        self._ownership = ownership
        self._first_names: tuple[dict[tuple[int, int], str], dict[tuple[int, int], str]] = ({}, {})

    def all_alike(self) -> bool:
        return all(
            left is not None and right is not None and left[0] == right[0] and self._alike(left[0], left[1], right[1])
            for left, right in zip_longest(self._left.walk(), self._right.walk())
        )

    def _alike(self, name: str, left: os.stat_result, right: os.stat_result) -> bool:
        if stat.S_IFMT(left.st_mode) != stat.S_IFMT(right.st_mode) or is_whiteout(left) != is_whiteout(right):
            return False
        if is_whiteout(left):
            return True
        if self._time_set(0, left) != self._time_set(1, right):
            return False
        if stat.S_ISREG(left.st_mode) and left.st_size != right.st_size:
            return False
        first = self._first_name(0, name, left)
        if first != self._first_name(1, name, right):
            return False
        if first is not None:  # it was compared under that name
            return True
        if stat.S_ISREG(left.st_mode) and left.st_size:
            self.files.append(name)
        return self._meaning(self._left, name, left) == self._meaning(self._right, name, right)

    def _time_set(self, side: int, status: os.stat_result) -> int | None:
        """Return the time of a file that is not just when its step wrote it."""
        by_clock = self._begun[side] - _GRAIN <= status.st_mtime_ns <= self._now + _GRAIN
        return None if by_clock else status.st_mtime_ns

    def _first_name(self, side: int, name: str, status: os.stat_result) -> str | None:
        """Return the name under which this file was met before."""
        if stat.S_ISDIR(status.st_mode) or status.st_nlink == 1:
            return None
        first = self._first_names[side].setdefault((status.st_dev, status.st_ino), name)
        return first if first != name else None

    def _meaning(self, root: Root, name: str, status: os.stat_result) -> tuple[Any, ...]:
        dir_fd, last = root.borrow_parent(name)
        if stat.S_ISSOCK(status.st_mode):  # no layer has it; it only hides what is below
            return ()
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            fd = open_readable(last, dir_fd)
            try:
                opaque = stat.S_ISDIR(status.st_mode) and is_opaque(fd)
                return self._ownership.read(fd, status), read_xattrs(fd), opaque
            finally:
                os.close(fd)
        path = f"/proc/self/fd/{dir_fd}/{last}"
        target = os.readlink(last, dir_fd=dir_fd) if stat.S_ISLNK(status.st_mode) else ""
        return self._ownership.read(path, status), read_xattrs(path), target


def _same_bytes(left: Root, right: Root, name: str) -> bool:
    with ExitStack() as cleanup:
        files = []
        for root in (left, right):
            dir_fd, last = root.borrow_parent(name)
            files.append(open_readable(last, dir_fd))
            cleanup.callback(os.close, files[-1])
        return have_same_bytes(*files)
