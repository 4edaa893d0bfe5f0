"""What stat(2) says of a file whose owner, or kind, is a record."""

from __future__ import annotations

import os
import stat
import struct
from typing import TYPE_CHECKING

from ocibuild.owner_records import ROOTS, marked

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.owner_records import Record

# struct stat of the kernel
_X86_64 = struct.Struct("=QQQIIIIQqqqqQqQqQ24x")
_GENERIC = struct.Struct("=QQIIIIQQqiiqqQqQqQ8x")

_SECOND = 1_000_000_000


def _x86_64(found: os.stat_result, mode: int, record: Record, device: int) -> bytes:
    owner = (mode, record.uid, record.gid, 0)
    size = (device, found.st_size, found.st_blksize, found.st_blocks)
    return _X86_64.pack(found.st_dev, found.st_ino, found.st_nlink, *owner, *size, *_times(found))


def _generic(found: os.stat_result, mode: int, record: Record, device: int) -> bytes:
    owner = (mode, found.st_nlink, record.uid, record.gid)
    size = (device, 0, found.st_size, found.st_blksize, 0, found.st_blocks)
    return _GENERIC.pack(found.st_dev, found.st_ino, *owner, *size, *_times(found))


def _times(found: os.stat_result) -> tuple[int, ...]:
    # what has its owner in its time of access was last looked at when it was made
    accessed = found.st_mtime_ns if marked(found.st_atime_ns) != ROOTS else found.st_atime_ns
    times = (accessed, found.st_mtime_ns, found.st_ctime_ns)
    return tuple(part for time in times for part in divmod(time, _SECOND))


_FORMS: dict[str, Callable[[os.stat_result, int, Record, int], bytes]] = {
    "x86_64": _x86_64,
    "aarch64": _generic,
    "riscv64": _generic,
    "loongarch64": _generic,
}

MACHINES = frozenset(_FORMS)
"""Where the form of the answer is known."""


def packed(found: os.stat_result, record: Record) -> bytes:
    """Return the kernel's struct stat of this machine for a file with a record."""
    mode, device = found.st_mode, found.st_rdev
    if record.device is not None:
        mode = record.device[0] | stat.S_IMODE(mode)
        device = os.makedev(*record.device[1:])
    return _FORMS[os.uname().machine](found, mode, record, device)
