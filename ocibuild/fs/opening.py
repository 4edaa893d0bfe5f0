"""Files of our own opened for reading, also where their mode closes them to us: it binds an owner without privilege."""

from __future__ import annotations

import os
import stat
import threading

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_lifting = threading.Lock()
"""Held while a mode is not what it should be, which another thread must not take for the file's own."""


def open_readable(name: str, dir_fd: int) -> int:
    """Open the file or directory ``name`` of ``dir_fd``, not through a symlink; raises OSError.

    A mode in the way is changed for the moment: that changes the ctime of the file, and nothing else of it.
    """
    try:
        return os.open(name, _READ, dir_fd=dir_fd)
    except PermissionError:
        with _lifting:
            return _open_lifted(name, dir_fd)


def _open_lifted(name: str, dir_fd: int) -> int:
    mode = stat.S_IMODE(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)
    os.chmod(name, mode | 0o400, dir_fd=dir_fd)
    try:
        return os.open(name, _READ, dir_fd=dir_fd)
    finally:
        os.chmod(name, mode, dir_fd=dir_fd)
