"""Whole root folders made of snapshots, for machines where nothing can be mounted.

A tree is ``trees/N``, of one owner, who holds the lock ``tree N`` while it is there. One whose lock is free was left by
a killed process.
"""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from ocibuild.fs import remove_path
from ocibuild.store.removal import try_remove

if TYPE_CHECKING:
    from ocibuild.store.locks import Lock, Locks


class HeldTree:
    """An empty folder at first, this process's own until ``remove()``."""

    def __init__(self, path: str, lock: Lock) -> None:
        self.path = path
        self._lock = lock

    def remove(self) -> None:
        """Remove it with all that it holds; safe to repeat."""
        try:
            remove_path(self.path)
        finally:
            self._lock.close()


class Trees:
    """The trees of a store."""

    def __init__(self, root: str, locks: Locks) -> None:
        self._folder = os.path.join(root, "trees")
        self._locks = locks

    def begin(self) -> HeldTree:
        """Return a new tree."""
        os.makedirs(self._folder, exist_ok=True)
        for number in itertools.count(1):
            path = os.path.join(self._folder, str(number))
            lock = None if os.path.lexists(path) else self._locks.try_hold(_lock_name(str(number)))
            if lock is None:
                continue
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:  # of somebody who was killed between our look and the lock
                lock.close()
            except BaseException:
                lock.close()
                raise
            else:
                return HeldTree(path, lock)
        raise AssertionError("numbers do not end")

    def recover(self) -> None:
        """Remove what killed processes left, as far as this one may."""
        with suppress(FileNotFoundError):
            for name in os.listdir(self._folder):
                if lock := self._locks.try_hold(_lock_name(name)):
                    try:
                        try_remove(os.path.join(self._folder, name))
                    finally:
                        lock.close()


def _lock_name(name: str) -> str:
    return f"tree {name}"
