"""Files and their attributes copied from one unpacked layer to another, as they are."""

from __future__ import annotations

import errno
import os
import stat

_PIECE = 1 << 20
_PRIVATE_TO_OVERLAY = ("user.overlay.", "trusted.overlay.")


def copy_attributes(source: int, destination: int) -> None:
    """Give the open ``destination`` the owner, mode, extended attributes and times of the open ``source``."""
    status = os.fstat(source)
    there = os.fstat(destination)
    if (there.st_uid, there.st_gid) != (status.st_uid, status.st_gid):
        os.fchown(destination, status.st_uid, status.st_gid)
    for key in os.listxattr(source):
        if not key.startswith((*_PRIVATE_TO_OVERLAY, "system.", "security.selinux")):
            os.setxattr(destination, key, os.getxattr(source, key))
    os.fchmod(destination, stat.S_IMODE(status.st_mode))
    os.utime(destination, ns=(status.st_mtime_ns, status.st_mtime_ns))


def copy_file(source_fd: int, source: str, dir_fd: int, name: str) -> None:
    """Make the file ``name`` in ``dir_fd`` a copy of ``source`` in ``source_fd``, of whatever kind but a directory."""
    status = os.stat(source, dir_fd=source_fd, follow_symlinks=False)
    if stat.S_ISREG(status.st_mode):
        _copy_regular(source_fd, source, dir_fd, name)
        return
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source, dir_fd=source_fd), name, dir_fd=dir_fd)
    else:
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=dir_fd)
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=dir_fd)
    there = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    if (there.st_uid, there.st_gid) != (status.st_uid, status.st_gid):
        os.chown(name, status.st_uid, status.st_gid, dir_fd=dir_fd, follow_symlinks=False)
    # the time of access too: it may stand for a recorded owner
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=dir_fd, follow_symlinks=False)


def _copy_regular(source_fd: int, source: str, dir_fd: int, name: str) -> None:
    original = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source_fd)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        copy = os.open(name, flags, 0o600, dir_fd=dir_fd)
        try:
            _copy_bytes(original, copy)
            copy_attributes(original, copy)
        finally:
            os.close(copy)
    finally:
        os.close(original)


def _copy_bytes(source: int, destination: int) -> None:
    """Copy the content, and leave holes where the source has them."""
    size = os.fstat(source).st_size
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
        while at < end and (piece := os.pread(source, min(_PIECE, end - at), at)):
            at += os.pwrite(destination, piece, at)
