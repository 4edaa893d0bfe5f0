"""Entries of open directories looked at, and trees removed with few descriptors, however deep they are."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def sorted_entries(fd: int) -> list[str]:
    """Return the names in the open directory ``fd`` in the order of their bytes."""
    return sorted(os.listdir(fd), key=os.fsencode)


def status_of(dir_fd: int, name: str) -> os.stat_result | None:
    """Return the status of ``name`` in the open directory ``dir_fd``, not followed; None where there is none."""
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


@contextmanager
def same_times(dir_fd: int) -> Iterator[None]:
    """Leave the times of an open directory as they were before something in it was changed."""
    before = os.fstat(dir_fd)
    yield
    os.utime(".", ns=(before.st_atime_ns, before.st_mtime_ns), dir_fd=dir_fd)


def remove_entry(dir_fd: int, name: str) -> int:
    """Remove a file, or a directory with all that it holds; return its kind, as in ``stat.S_IFMT``. Raises OSError."""
    kind = stat.S_IFMT(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)
    if kind == stat.S_IFDIR:
        _remove_tree(dir_fd, name)
    else:
        os.unlink(name, dir_fd=dir_fd)
    return kind


def _remove_tree(dir_fd: int, name: str) -> None:
    """Remove the directory ``name`` of the open directory ``dir_fd``, with all that it holds.

    No symlink is followed and no other file system is treated differently. Directories that their owner may not write
    are made writable first. Raises OSError.
    """
    here = _open_writable(dir_fd, name)
    trail = [_Level(name, _identity(here), _unlink_files(here))]
    try:
        while True:
            if trail[-1].directories:
                below = trail[-1].directories.pop()
                here = _replace(here, _open_writable(here, below))
                trail.append(_Level(below, _identity(here), _unlink_files(here)))
                continue
            done = trail.pop()
            if not trail:
                break
            here = _replace(here, _parent(here, trail[-1].identity))
            os.rmdir(done.name, dir_fd=here)
    finally:
        os.close(here)
    os.rmdir(name, dir_fd=dir_fd)


class _Level(NamedTuple):
    """A directory on the way down: ``directories`` are those in it that are still to be removed."""

    name: str
    identity: tuple[int, int]
    directories: list[str]


def _unlink_files(fd: int) -> list[str]:
    """Remove all but the directories in ``fd``, and return these."""
    directories = []
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=fd)
    return directories


def _open_writable(dir_fd: int, name: str) -> int:
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=dir_fd)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=dir_fd)
        fd = os.open(name, _DIRECTORY, dir_fd=dir_fd)
    mode = os.fstat(fd).st_mode
    if stat.S_IMODE(mode) & 0o700 != 0o700:
        os.fchmod(fd, 0o700)
    return fd


def _parent(fd: int, expected: tuple[int, int]) -> int:
    """Open the directory above ``fd``, which is the one that we came from unless somebody moves it now."""
    parent = os.open("..", _DIRECTORY, dir_fd=fd)
    if _identity(parent) != expected:
        os.close(parent)
        raise OSError("a directory was moved while its tree was being removed")
    return parent


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _replace(old: int, new: int) -> int:
    os.close(old)
    return new
