"""Files and their attributes copied from one tree or unpacked layer to another, as they are."""

from __future__ import annotations

import os
import stat

from ocibuild.fs import ContentCopier, open_readable
from ocibuild.layer.xattrs import ACCESS_LISTS, LABEL, OVERLAY, list_xattrs

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LEFT_OUT = (*OVERLAY, "system.", LABEL)


class FileCopier:
    """Copies single files with all that they are: owner, mode, extended attributes and both times."""

    def __init__(self) -> None:
        self._content = ContentCopier()

    def copy(self, source_fd: int, source: str, dir_fd: int, name: str, status: os.stat_result) -> None:
        """Make the file ``name`` in ``dir_fd`` a copy of ``source`` in ``source_fd``, of any kind but a directory.

        ``status`` is what lstat(2) says of the source. Raises OSError.
        """
        if stat.S_ISREG(status.st_mode):
            self._copy_regular(source_fd, source, dir_fd, name)
            return
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(source, dir_fd=source_fd), name, dir_fd=dir_fd)
        else:
            os.mknod(name, status.st_mode, status.st_rdev, dir_fd=dir_fd)
        there = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if (there.st_uid, there.st_gid) != (status.st_uid, status.st_gid):
            os.chown(name, status.st_uid, status.st_gid, dir_fd=dir_fd, follow_symlinks=False)
        _copy_xattrs_of_node(f"/proc/self/fd/{source_fd}/{source}", f"/proc/self/fd/{dir_fd}/{name}")
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=dir_fd)
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=dir_fd, follow_symlinks=False)

    def _copy_regular(self, source_fd: int, source: str, dir_fd: int, name: str) -> None:
        original = open_readable(source, source_fd)
        try:
            copy = os.open(name, _NEW_FILE, 0o600, dir_fd=dir_fd)
            try:
                self._content.copy(original, copy, os.fstat(original).st_size)
                copy_attributes(original, copy)
            finally:
                os.close(copy)
        finally:
            os.close(original)


def copy_attributes(source: int, destination: int, *, mode: int | None = None) -> None:
    """Give the open ``destination`` the owner, mode, extended attributes and times of the open ``source``.

    ``mode`` is that of the source, where it is another for the moment.
    """
    status = os.fstat(source)
    there = os.fstat(destination)
    if (there.st_uid, there.st_gid) != (status.st_uid, status.st_gid):
        os.fchown(destination, status.st_uid, status.st_gid)
    _copy_xattrs(source, destination, is_new=not stat.S_ISDIR(status.st_mode))
    os.fchmod(destination, stat.S_IMODE(status.st_mode) if mode is None else mode)
    os.utime(destination, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_xattrs(source: int, destination: int, *, is_new: bool) -> None:
    keys = [key for key in list_xattrs(source) if _is_copied(key)]
    for key in keys:
        os.setxattr(destination, key, os.getxattr(source, key))
    if not is_new:
        for key in list_xattrs(destination):
            if _is_copied(key) and key not in keys:
                os.removexattr(destination, key)


def _copy_xattrs_of_node(source: str, destination: str) -> None:
    """Copy those of what cannot be opened: paths that are not followed."""
    for key in list_xattrs(source):
        if _is_copied(key):
            value = os.getxattr(source, key, follow_symlinks=False)
            os.setxattr(destination, key, value, follow_symlinks=False)


def _is_copied(key: str) -> bool:
    """Say whether an attribute is the file's, not that of its place in a stack or of one machine's policy."""
    return key in ACCESS_LISTS or not key.startswith(_LEFT_OUT)
