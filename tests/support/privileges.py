"""Root that permissions apply to, so that tests of what may not be read run as root too."""

from __future__ import annotations

import ctypes
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_VERSION_3 = 0x20080522
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2


@contextmanager
def bound_by_permissions() -> Iterator[None]:
    """Take from this thread, for the block, the capabilities that pass over the permissions of files."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("=Ii", _VERSION_3, 0)
    before = ctypes.create_string_buffer(24)
    assert libc.capget(header, before) == 0
    sets = list(struct.unpack("=6I", before.raw))
    sets[0] &= ~(_DAC_OVERRIDE | _DAC_READ_SEARCH)
    assert libc.capset(header, struct.pack("=6I", *sets)) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0
