"""The digests of what single files hold: remembered where the file is as it was, else read."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import time
from typing import TYPE_CHECKING, Protocol, TypeAlias

from ocibuild.errors import SourceError, remedy_of_limit
from ocibuild.oci import Digest
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future, ThreadPoolExecutor
    from types import TracebackType
    from typing import Self

    from ocibuild.fs import Root

Xattrs: TypeAlias = "Callable[[int], Mapping[str, bytes]]"
"""Gives the extended attributes of an open file that count."""

_RACY_NS = 2_000_000_000
"""A file changed more recently may change once more within the same tick of its file system's clock."""
_SMALL = 128 * 1024
"""Bytes below which handing a file to another thread costs more than hashing it."""
_ALONE = 16 * 1024 * 1024
"""Bytes of larger files that are hashed before threads are started."""
_THREADS = 4
_OPEN_FILES = 16
_CHUNK = 256 * 1024


class DigestCache(Protocol):
    """Digests of what files hold, kept from build to build.

    A digest is that of the file's bytes, and of its extended attributes where some count: the change time covers both.
    Called by one thread.
    """

    def get(self, dev: int, ino: int, size: int, mtime_ns: int, ctime_ns: int) -> Digest | None:
        """Return the digest that was put for the file in this very state, or None."""

    def put(self, dev: int, ino: int, size: int, mtime_ns: int, ctime_ns: int, digest: Digest) -> None:
        """Remember ``digest``; one for an earlier state of the same file may be forgotten."""


class _Read(NamedTuple):
    """What was read from a file: its digest, and its state where that did not change meanwhile."""

    digest: Digest
    status: os.stat_result | None


class FileDigests:
    """Gives the digests of files below ``root``; the larger ones are read in threads once there are many.

    ``root`` and ``cache`` are used by the calling thread alone: the others get open descriptors, a bounded number at
    a time. Leaving the context waits for them; on an exception they stop at their next chunk.
    """

    def __init__(self, root: Root, cache: DigestCache | None, xattrs: Xattrs = lambda _fd: {}) -> None:
        self._root = root
        self._cache = cache
        self._xattrs = xattrs
        self._alone = _ALONE
        self._pool: ThreadPoolExecutor | None = None
        self._free = threading.Semaphore(_OPEN_FILES)
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = kind is not None
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    def digest(self, path: str, status: os.stat_result) -> bytes | Callable[[], bytes]:
        """Return the digest of the regular file ``path``, whose lstat is ``status``, or what will wait for it.

        Raises SourceError where the file cannot be read; so does what is returned.
        """
        if self._cache is not None:
            known = self._cache.get(*_state(status))
            if known is not None:
                return known.encode()
        fd = self._open(path)
        if status.st_size >= _SMALL:
            self._alone -= status.st_size
            if self._alone < 0:
                return self._promise(fd, path)
        return self._remembered(self._read(fd, path))

    def _open(self, path: str) -> int:
        try:
            fd = self._root.open_file(path)
        except OSError as error:
            raise _cannot_be_read(path, error) from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise changed_meanwhile(path)
        return fd

    def _promise(self, fd: int, path: str) -> Callable[[], bytes]:
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="digest")
        self._free.acquire()
        reading: Future[_Read] = self._pool.submit(self._read_and_free, fd, path)
        return lambda: self._remembered(reading.result())

    def _read_and_free(self, fd: int, path: str) -> _Read:
        try:
            return self._read(fd, path)
        finally:
            self._free.release()

    def _read(self, fd: int, path: str) -> _Read:
        """Read the open file to its end, and close it."""
        try:
            before, now = os.fstat(fd), time.time_ns()
            digest = self._digest_of(fd)
            after = os.fstat(fd)
        except OSError as error:
            raise _cannot_be_read(path, error) from error
        finally:
            os.close(fd)
        is_settled = _state(before) == _state(after) and before.st_ctime_ns <= now - _RACY_NS
        return _Read(digest, after if is_settled else None)

    def _digest_of(self, fd: int) -> Digest:
        hasher = hashlib.sha256()
        while not self._stopped and (chunk := os.read(fd, _CHUNK)):
            hasher.update(chunk)
        digest = Digest(f"sha256:{hasher.hexdigest()}")
        xattrs = self._xattrs(fd)
        return Digest.of(digest.encode() + _encoded(xattrs)) if xattrs else digest

    def _remembered(self, read: _Read) -> bytes:
        if self._cache is not None and read.status is not None:
            self._cache.put(*_state(read.status), read.digest)
        return read.digest.encode()


def _state(status: os.stat_result) -> tuple[int, int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _encoded(xattrs: Mapping[str, bytes]) -> bytes:
    pairs = ((os.fsencode(name), value) for name, value in sorted(xattrs.items()))
    return b"".join(b" %d:%b=%d:%b" % (len(name), name, len(value), value) for name, value in pairs)


def _cannot_be_read(path: str, error: OSError) -> SourceError:
    if isinstance(error, FileNotFoundError) or error.errno == errno.ELOOP:
        return changed_meanwhile(path)
    remedy = remedy_of_limit(error) or "make it readable, or exclude it in .dockerignore"
    return SourceError(f"{path!r} cannot be read: {error.strerror}", remedy=remedy)


def changed_meanwhile(path: str) -> SourceError:
    """Return the error for a file that is no longer what it was when it was found."""
    return SourceError(f"{path!r} was replaced or removed while it was being read", remedy="build again")
