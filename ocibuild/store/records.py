"""What was built before: cache records by key."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ocibuild.store.inputs import RecordedInputs
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocibuild.oci import Digest
    from ocibuild.store.database import Database
    from ocibuild.store.inputs import MadeFrom
    from ocibuild.store.snapshots import Layer


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
