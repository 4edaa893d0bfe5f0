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
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid
_FLOCK = struct.Struct("hhqqi4x")


class Lock:
    """One lock, held; ``close()`` lets go."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def close(self) -> None:
        """Let go; safe to repeat."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class Locks:
    """The locks of one store, by name."""

    def __init__(self, path: str) -> None:
        self._path = path

    def try_hold(self, name: str) -> Lock | None:
        """Return the exclusive lock ``name``, or None where somebody else has it."""
        fd = self._open()
        if _lock(fd, fcntl.F_OFD_SETLK, name):
            return Lock(fd)
        os.close(fd)
        return None

    def hold(self, name: str) -> Lock:
        """Wait for the exclusive lock ``name``; the caller closes it."""
        fd = self._open()
        try:
            _lock(fd, fcntl.F_OFD_SETLKW, name)
        except BaseException:
            os.close(fd)
            raise
        return Lock(fd)

    @contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Hold the exclusive lock ``name`` inside the block."""
        lock = self.hold(name)
        try:
            yield
        finally:
            lock.close()

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(fd: int, command: int, name: str) -> bool:
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 2
    request = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, 1, 0)
    try:
        fcntl.fcntl(fd, command, request)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True
