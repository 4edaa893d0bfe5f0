"""What was built before: cache records by key, and the digests of context files by inode."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ocibuild.oci import Digest
from ocibuild.store.inputs import RecordedInputs
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocibuild.store.database import Database
    from ocibuild.store.inputs import MadeFrom
    from ocibuild.store.snapshots import Layer


_LIMIT = 1 << 63
"""SQLite's integers have 63 bits and a sign. An inode number may have all 64: overlayfs uses the upper ones."""
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Record:
    """The result of a step: the snapshot it made, when (RFC 3339), and what users are told that the step is."""

    snapshot: int
    created: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """The result of the step that ``key`` means as a layer alone, as caches beyond the store have it.

    ``created`` is in RFC 3339.
    """

    key: Digest
    layer: Layer
    created: str


class Records:
    """Cache records by cache key; what their steps were made from is in ``inputs``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.inputs = RecordedInputs(database)

    def get(self, key: Digest) -> Record | None:
        """Return what was produced under ``key``, or None."""
        rows = self._database.query(
            "SELECT records.snapshot, records.created, records.label FROM records"
            " JOIN snapshots ON snapshots.id = records.snapshot WHERE key = ? AND committed = 1",
            (key,),
        )
        return Record(*rows[0]) if rows else None

    def put(self, key: Digest, record: Record, made_from: MadeFrom | None = None) -> None:
        """Remember what was produced under ``key``, and from what, in place of what was known before."""
        with self._database.transaction():
            self._database.query(
                "INSERT OR REPLACE INTO records (key, snapshot, label, created, used) VALUES (?, ?, ?, ?, ?)",
                (key, record.snapshot, record.label, record.created, time.time_ns()),
            )
            self._database.query("DELETE FROM pruned WHERE key = ?", (key,))
            if made_from is not None:
                self.inputs.put(key, made_from)

    def touch(self, keys: Iterable[Digest]) -> None:
        """Remember that these were used now."""
        now = time.time_ns()
        self._database.execute_many("UPDATE records SET used = ? WHERE key = ?", [(now, key) for key in keys])

    def was_pruned(self, key: Digest) -> bool:
        """Tell whether what was produced under ``key`` has been removed to make room, as far as that is remembered."""
        return bool(self._database.query("SELECT 1 FROM pruned WHERE key = ?", (key,)))


class KnownDigests:
    """The digests of files by device, inode, size, mtime and ctime: an unchanged file is not read again.

    Everything known is read at the first question, everything new is written by ``flush()``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[tuple[int, int], tuple[int, int, int, str]] | None = None
        self._new: dict[tuple[int, int], tuple[int, int, int, str]] = {}

    def get(self, dev: int, ino: int, size: int, mtime_ns: int, ctime_ns: int) -> Digest | None:
        """Return the digest of a file that has not changed since it was put, or None."""
        if self._known is None:
            rows = self._database.query("SELECT device, inode, size, mtime, ctime, digest FROM files")
            self._known = {(row[0] & _MASK, row[1] & _MASK): row[2:] for row in rows}
        found = self._new.get((dev, ino)) or self._known.get((dev, ino))
        return Digest(found[3]) if found and found[:3] == (size, mtime_ns, ctime_ns) else None

    def put(self, dev: int, ino: int, size: int, mtime_ns: int, ctime_ns: int, digest: Digest) -> None:
        """Remember a digest until ``flush()``."""
        self._new[dev, ino] = (size, mtime_ns, ctime_ns, digest)

    def flush(self) -> None:
        """Write what is new to the database; a file with a time that it cannot hold is read again each time."""
        rows = [
            (_signed(device), _signed(inode), *value)
            for (device, inode), value in self._new.items()
            if all(-_LIMIT <= number < _LIMIT for number in value[:3])
        ]
        if rows:
            self._database.execute_many("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._new = {}


def _signed(number: int) -> int:
    """Return the number that SQLite keeps for one of 64 bits."""
    return number - (1 << 64) if number >= _LIMIT else number
