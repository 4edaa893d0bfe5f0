"""Owners and devices that a file cannot have for real, recorded with it.

A file or directory has them in an extended attribute, by the name and form of containers/storage and fuse-overlayfs. A
symbolic link, FIFO or socket can carry none (see xattr(7)), and nothing but the time of its last access that would
follow it through a rename and a copy-up; so its owner is a time of access in a future that no clock shows.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

OVERRIDE_STAT = "user.containers.override_stat"
"""``uid:gid:mode:type``: the mode is octal; the type is ``file``, ``dir``, ``char-MAJOR-MINOR`` or
``block-MAJOR-MINOR``, and may be missing. The mode is that of the file at the time; what the file has now counts."""

CAPABILITY = "security.capability"
RECORDED_CAPABILITY = "user.ocibuild.security.capability"
"""Where the capabilities of a program are kept by who may not set them; see capabilities(7), "File capabilities"."""

_FORM = rb"([0-9]{1,10}):([0-9]{1,10}):[0-7]{1,7}(?::([a-z]+)(?:-([0-9]{1,9})-([0-9]{1,9}))?)?"
_LAST_ID = 0xFFFFFFFF
_DEVICES = {b"char": stat.S_IFCHR, b"block": stat.S_IFBLK}
_NAMES = {stat.S_IFCHR: "char", stat.S_IFBLK: "block"}

# 31 bits for each ID: 29 of the 62 are nanoseconds, which go up to 10^9, the rest are seconds after the year 2160. All
# of it is before 2446, where ext4's times end.
_FIRST = 6_000_000_000
_ID_BITS = 31
_NANOSECOND_BITS = 29
_SECOND = 1_000_000_000
MARK_LIMIT = 1 << _ID_BITS
"""IDs from here on cannot be recorded on what carries no attribute."""


class Record(NamedTuple):
    """Who a file belongs to; and of a device its type, S_IFCHR or S_IFBLK, and its two numbers."""

    uid: int = 0
    gid: int = 0
    device: tuple[int, int, int] | None = None

    def to_bytes(self, mode: int, *, directory: bool) -> bytes:
        """Return the attribute's value for a file with this mode."""
        if self.device is None:
            kind = "dir" if directory else "file"
        else:
            kind = "{}-{}-{}".format(_NAMES[self.device[0]], *self.device[1:])
        return f"{self.uid}:{self.gid}:0{stat.S_IMODE(mode):o}:{kind}".encode()

    @classmethod
    def parse(cls, value: bytes) -> Record | None:
        """Return what the attribute's value says, None where it is none."""
        match = re.fullmatch(_FORM, value)
        if match is None:
            return None
        uid, gid, kind, major, minor = match.groups()
        if max(int(uid), int(gid)) > _LAST_ID:
            return None
        device = (_DEVICES[kind], int(major), int(minor)) if kind in _DEVICES and major else None
        return cls(int(uid), int(gid), device)


ROOTS = Record()


def access_time(uid: int, gid: int, mtime_ns: int) -> int:
    """Return the time of access, in nanoseconds, that a file without the attribute has: root's is an ordinary one."""
    if (uid, gid) == (0, 0):
        return min(mtime_ns, _FIRST * _SECOND - 1)
    both = uid << _ID_BITS | gid
    return (_FIRST + (both >> _NANOSECOND_BITS)) * _SECOND + (both & (1 << _NANOSECOND_BITS) - 1)


def marked(atime_ns: int) -> Record:
    """Return the owner that a time of access stands for."""
    seconds, nanoseconds = divmod(atime_ns, _SECOND)
    if seconds < _FIRST or nanoseconds >> _NANOSECOND_BITS:
        return ROOTS
    both = seconds - _FIRST << _NANOSECOND_BITS | nanoseconds
    return Record(both >> _ID_BITS, both & MARK_LIMIT - 1) if both >> 2 * _ID_BITS == 0 else ROOTS


def carries(mode: int) -> bool:
    """Say whether a file of this mode can carry the attribute."""
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def read(path: int | str, status: os.stat_result, *, follow: bool = False) -> Record:
    """Return what is recorded with a file; ``path`` is an open descriptor or a name. Raises ValueError for nonsense."""
    if not carries(status.st_mode):
        return marked(status.st_atime_ns)
    keywords = _following(path, follow=follow)
    try:
        value = os.getxattr(path, OVERRIDE_STAT, **keywords)
    except PermissionError:
        if status.st_mode & 0o600 == 0o600:
            raise
        with opened_to_us(path, status.st_mode):
            return read(path, os.stat(path, **keywords), follow=follow)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return ROOTS
        raise
    record = Record.parse(value)
    if record is None:
        raise ValueError(f"{OVERRIDE_STAT} is {value[:60]!r}, not uid:gid:mode:type")
    return record


def write(
    path: int | str, status: os.stat_result, record: Record, *, mode: int | None = None, follow: bool = False
) -> None:
    """Record this with a file, which has ``mode`` or is to have it; ``path`` is an open descriptor or a name.

    Raises OSError.
    """
    keywords = _following(path, follow=follow)
    if not carries(status.st_mode):
        if max(record.uid, record.gid) >= MARK_LIMIT:
            raise OSError(errno.EOVERFLOW, os.strerror(errno.EOVERFLOW))
        times = (access_time(record.uid, record.gid, status.st_mtime_ns), status.st_mtime_ns)
        os.utime(path, None, ns=times, **keywords)
        return
    value = record.to_bytes(status.st_mode if mode is None else mode, directory=stat.S_ISDIR(status.st_mode))
    try:
        os.setxattr(path, OVERRIDE_STAT, value, **keywords)
    except PermissionError:
        if status.st_mode & 0o600 == 0o600:
            raise
        with opened_to_us(path, status.st_mode):
            os.setxattr(path, OVERRIDE_STAT, value, **keywords)


@contextmanager
def opened_to_us(path: int | str, mode: int) -> Iterator[None]:
    """Lift what a mode forbids for a moment, where it does: without privilege, it binds the file's owner too."""
    if mode & 0o600 == 0o600:
        yield
        return
    os.chmod(path, stat.S_IMODE(mode) | 0o600)
    try:
        yield
    finally:
        os.chmod(path, stat.S_IMODE(mode))


def _following(path: int | str, *, follow: bool) -> dict[str, bool]:
    """Return the keyword argument of ``os``, which it refuses for a descriptor."""
    return {} if isinstance(path, int) else {"follow_symlinks": follow}
