"""The digests of the files of build contexts, by what their states are: one that is as it was is not read again."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, cast

from ocibuild.oci import Digest

if TYPE_CHECKING:
    from ocibuild.store.database import Database

_FILE = struct.Struct("=QQ")
"""Device and inode."""
_STATE = struct.Struct("=Qqq")
"""Size and the times of the last modification and change, in nanoseconds."""
_ALGORITHM = "sha256:"
_LIMIT = 1 << 63
"""SQLite's integers have 63 bits and a sign. An inode number may have all 64: overlayfs uses the upper ones."""
_MASK = (1 << 64) - 1


class KnownDigests:
    """The digests of files by device, inode, size, mtime and ctime.

    Everything known is read at the first question, everything new is written by ``flush()``. There may be a million of
    them, so each is held as two short strings of bytes: the file, and its state with its digest.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[bytes, bytes] | None = None
        self._new: dict[bytes, bytes] = {}

    def get(self, dev: int, ino: int, size: int, mtime_ns: int, ctime_ns: int) -> Digest | None:
        """Return the SHA-256 of a file that has not changed since it was put, or None."""
        if self._known is None:
            self._known = self._read()
        file = _FILE.pack(dev, ino)
        found = self._new.get(file) or self._known.get(file)
        if found is None or found[: _STATE.size] != _packed(size, mtime_ns, ctime_ns):
            return None
        return Digest(_ALGORITHM + found[_STATE.size :].hex())

    def put(self, dev: int, ino: int, size: int, mtime_ns: int, ctime_ns: int, digest: Digest) -> None:
        """Remember a SHA-256 until ``flush()``; a file with a time that 64 bits do not hold is read again each time."""
        state = _packed(size, mtime_ns, ctime_ns)
        if state is not None:
            self._new[_FILE.pack(dev, ino)] = state + bytes.fromhex(digest.removeprefix(_ALGORITHM))

    def flush(self) -> None:
        """Write what is new to the database."""
        if self._new:
            rows = (
                (*map(_signed, _FILE.unpack(file)), *_STATE.unpack_from(value), _ALGORITHM + value[_STATE.size :].hex())
                for file, value in self._new.items()
            )
            self._database.execute_many("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._new = {}

    def _read(self) -> dict[bytes, bytes]:
        rows = self._database.query("SELECT device, inode, size, mtime, ctime, digest FROM files")
        return {
            _FILE.pack(row[0] & _MASK, row[1] & _MASK): _STATE.pack(*row[2:5])
            + bytes.fromhex(cast("str", row[5]).removeprefix(_ALGORITHM))
            for row in rows
        }


def _packed(size: int, mtime_ns: int, ctime_ns: int) -> bytes | None:
    try:
        return _STATE.pack(size, mtime_ns, ctime_ns)
    except struct.error:
        return None


def _signed(number: int) -> int:
    """Return the number that SQLite keeps for one of 64 bits."""
    return number - (1 << 64) if number >= _LIMIT else number
