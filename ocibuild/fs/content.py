"""The content of open files: copied inside the kernel, shared where the file system can; and compared."""

from __future__ import annotations

import errno
import fcntl
import os

FICLONE = 0x40049409
_CANNOT = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.EPERM, errno.EBADF)
_SMALL = 64 << 10
_PIECE = 1 << 30
_COMPARED = 1 << 20


class ContentCopier:
    """Copies from open files to open and empty ones, with the holes that they have.

    Whether blocks can be shared is found out at the first file.
    """

    def __init__(self) -> None:
        self._shares = True

    def copy(self, source: int, destination: int, size: int) -> None:
        """Copy the whole content of a file of ``size`` bytes; raises OSError."""
        if not size or (self._shares and self._share(source, destination)):
            return
        if size <= _SMALL:
            _copy_small(source, destination, size)
        else:
            _copy_large(source, destination, size)

    def _share(self, source: int, destination: int) -> bool:
        try:
            fcntl.ioctl(destination, FICLONE, source)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            self._shares = False
        return self._shares


def have_same_bytes(one: int, other: int) -> bool:
    """Tell whether two open files have the same bytes from where they stand, up to the first difference."""
    while True:
        piece = os.read(one, _COMPARED)
        if piece != os.read(other, _COMPARED):
            return False
        if not piece:
            return True


def _copy_small(source: int, destination: int, size: int) -> None:
    at = 0
    while at < size and (piece := os.pread(source, size - at, at)):
        at += os.pwrite(destination, piece, at)


def _copy_large(source: int, destination: int, size: int) -> None:
    """Copy what is no hole."""
    os.ftruncate(destination, size)
    at = 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return
        end = os.lseek(source, at, os.SEEK_HOLE)
        _copy_range(source, destination, at, end)
        at = end


def _copy_range(source: int, destination: int, at: int, end: int) -> None:
    try:
        while at < end and (copied := os.copy_file_range(source, destination, min(end - at, _PIECE), at, at)):
            at += copied
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        os.lseek(destination, at, os.SEEK_SET)
        while at < end and (copied := os.sendfile(destination, source, at, min(end - at, _PIECE))):
            at += copied
