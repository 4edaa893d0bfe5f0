"""Directories that steps keep from build to build, and that are never part of a layer.

A cache is ``caches/DIGEST.N``: DIGEST names what it is (its id, and what it held at first), N tells apart the copies
that steps have used at the same time. In it are ``content``, which is what a step sees, and ``id``, whose text is the
user's name for it and whose time is that of the last use. Whoever uses a cache holds the lock ``cache DIGEST.N``, some
of them together. One is made as ``caches/new-…`` under a lock of that name, and gets its own by rename: what a killed
process was making is a ``new-…`` whose lock is free.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING

from ocibuild.fs import remove_path
from ocibuild.graph import Sharing
from ocibuild.store.removal import try_remove
from ocibuild.values import NamedTuple, dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.oci import Digest
    from ocibuild.store.locks import Lock, Locks

_NEW = "new-"


@dataclass(frozen=True, slots=True)
class Cache:
    """Which cache: the user's ``id``, and the ``digest`` of that and of everything else that tells caches apart."""

    id: str
    digest: Digest


class KeptCache(NamedTuple):
    """A cache as it lies in the store: ``id`` is the user's name for it; times are in nanoseconds since 1970."""

    name: str
    path: str
    id: str
    created: int
    used: int
    in_use: bool


class Caches:
    """The caches of a store."""

    def __init__(self, root: str, locks: Locks) -> None:
        self._folder = os.path.join(root, "caches")
        self._locks = locks

    @contextmanager
    def using(self, cache: Cache, sharing: Sharing, fill: Callable[[str], None]) -> Iterator[str]:
        """Give the path of a cache's content, to be used as ``sharing`` says until the block is left.

        Where it is new, ``fill`` makes what its argument names, a file or directory that is not there yet. Another user
        is waited for where the sharing is ``locked``; where it is ``private``, or the other does not share, there is
        one more copy. Raises Interrupted.
        """
        name, lock = self._take(cache, sharing)
        try:
            path = os.path.join(self._folder, name)
            if not os.path.exists(path):
                self._make(path, cache, fill)
            os.utime(os.path.join(path, "id"))
            yield os.path.join(path, "content")
        finally:
            lock.close()

    def _take(self, cache: Cache, sharing: Sharing) -> tuple[str, Lock]:
        names = (f"{cache.digest.encoded}.{number}" for number in count())
        if sharing is Sharing.LOCKED:
            name = next(names)
            return name, self._locks.hold(_lock_name(name))
        for name in names:
            lock = self._locks.try_hold(_lock_name(name), shared=sharing is Sharing.SHARED)
            if lock is not None:
                return name, lock
        raise AssertionError("numbers do not end")

    def _make(self, path: str, cache: Cache, fill: Callable[[str], None]) -> None:
        """Make a cache, all or nothing, unless somebody who shares it is faster."""
        with self._locks.holding(f"making {_lock_name(os.path.basename(path))}"):
            if os.path.exists(path):
                return
            name = f"{_NEW}{os.urandom(8).hex()}"
            new = os.path.join(self._folder, name)
            with self._locks.holding(_lock_name(name)):
                os.makedirs(new)
                try:
                    with open(os.path.join(new, "id"), "w", encoding="utf-8", errors="surrogateescape") as file:
                        file.write(cache.id)
                    fill(os.path.join(new, "content"))
                    os.rename(new, path)
                except BaseException:
                    remove_path(new)
                    raise

    def kept(self) -> Iterator[KeptCache]:
        """Yield all caches."""
        with suppress(FileNotFoundError):
            for name in sorted(os.listdir(self._folder)):
                path = os.path.join(self._folder, name)
                # it may go while we look, and of one that is being made there is no more to tell
                with suppress(FileNotFoundError):
                    made = os.stat(path).st_ctime_ns
                    with open(os.path.join(path, "id"), encoding="utf-8", errors="replace") as file:
                        label, used = file.read(), os.fstat(file.fileno()).st_mtime_ns
                    if not name.startswith(_NEW):
                        yield KeptCache(name, path, label, made, used, self._is_used(name))

    def _is_used(self, name: str) -> bool:
        lock = self._locks.try_hold(_lock_name(name))
        if lock is not None:
            lock.close()
        return lock is None

    def remove(self, name: str) -> bool:
        """Remove a cache, unless somebody uses it or this process may not; tell whether it was."""
        lock = self._locks.try_hold(_lock_name(name))
        if lock is None:
            return False
        try:
            return try_remove(os.path.join(self._folder, name))
        finally:
            lock.close()

    def recover(self) -> None:
        """Remove what killed processes were making, and what they had moved away, as far as this one may."""
        with suppress(FileNotFoundError):
            for name in os.listdir(self._folder):
                if (name.startswith(_NEW) or self._is_empty(name)) and (lock := self._locks.try_hold(_lock_name(name))):
                    try:
                        if name.startswith(_NEW) or self._is_empty(name):
                            try_remove(os.path.join(self._folder, name))
                    finally:
                        lock.close()

    def _is_empty(self, name: str) -> bool:
        return not os.path.lexists(os.path.join(self._folder, name, "content"))


def _lock_name(name: str) -> str:
    return f"cache {name}"
