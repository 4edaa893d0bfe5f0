"""Locks between threads and between processes, which die with their owner.

All of them are single bytes of one file, locked with open file description locks (fcntl(2), "Open file description
locks"): there is no lock file to clean up, and the kernel lets go when the owner is killed. A name's byte is the
first 62 bits of its SHA-256; were two names ever to share one, they would wait for each other and nothing worse.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocibuild.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

# struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid
_FLOCK = struct.Struct("hhqqi4x")
_SHORTEST_PAUSE = 0.001
_LONGEST_PAUSE = 0.1


class Lock:
    """One lock, held; ``close()`` lets go.

    A program that inherits ``fileno()`` holds it too, for as long as it lives.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        """Return the descriptor that holds it."""
        return self._fd

    def close(self) -> None:
        """Let go; safe to repeat."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class Locks:
    """The locks of one store, by name.

    Waiting asks again and again, with pauses of up to 0.1 s: a call that waits in the kernel could not be given up by
    another thread, and an interrupted build must not hang on what somebody else does.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._stopped = threading.Event()

    def try_hold(self, name: str, *, shared: bool = False) -> Lock | None:
        """Return the lock ``name``, or None where somebody else has it; several may have it ``shared``."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            taken = _try_lock(fd, name, fcntl.F_RDLCK if shared else fcntl.F_WRLCK)
        except BaseException:
            os.close(fd)
            raise
        if taken:
            return Lock(fd)
        os.close(fd)
        return None

    def hold(self, name: str, *, shared: bool = False) -> Lock:
        """Wait for the lock ``name``; the caller closes it. Raises Interrupted after ``stop()``."""
        pause = _SHORTEST_PAUSE
        while (lock := self.try_hold(name, shared=shared)) is None:
            if self._stopped.wait(pause):
                raise Interrupted
            pause = min(2 * pause, _LONGEST_PAUSE)
        return lock

    def stop(self) -> None:
        """Let nobody wait any more, until ``resume()``."""
        self._stopped.set()

    def resume(self) -> None:
        """Let waiting be possible again."""
        self._stopped.clear()

    @contextmanager
    def holding(self, name: str) -> Iterator[Lock]:
        """Hold the exclusive lock ``name`` inside the block."""
        lock = self.hold(name)
        try:
            yield lock
        finally:
            lock.close()


def _try_lock(fd: int, name: str, kind: int) -> bool:
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 2
    request = _FLOCK.pack(kind, os.SEEK_SET, start, 1, 0)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, request)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True
