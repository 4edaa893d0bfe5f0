"""What the steps of before were made from: their inputs by key, found again by places that are like another step's.

The store does not know what inputs mean. A *place* is any text: records that have one in common are near each other.
"""

from __future__ import annotations

import time
import zlib
from dataclasses import field
from typing import TYPE_CHECKING

from ocibuild.oci import Digest
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ocibuild.store.database import Database

_SMALL = 400
"""Characters below which compressing saves nothing."""
_LEVEL = 1
_REMEMBERED = 10_000
"""Pruned keys, of those that were pruned last."""


@dataclass(frozen=True, slots=True)
class MadeFrom:
    """What a step was made from: its ``inputs``, the ``places`` where it is looked for, and the listings of its files.

    ``listings`` are by the digest that stands for them in the inputs; each is made, in pieces, only where it is not
    kept yet.
    """

    inputs: str
    places: tuple[str, ...] = ()
    listings: Mapping[str, Callable[[], Iterable[str]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Earlier:
    """A step of before; it was ``begun``, and its result last ``used``, at times in nanoseconds since 1970."""

    key: Digest
    snapshot: int
    created: str
    label: str
    begun: int
    used: int
    inputs: str


class RecordedInputs:
    """The inputs of cache records, which go with them, and listings of files, each kept once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, key: Digest, made_from: MadeFrom) -> None:
        """Remember from what the record ``key`` was made; the record comes first."""
        with self._database.transaction():
            self._database.query("DELETE FROM inputs WHERE key = ?", (key,))
            self._database.query("INSERT INTO inputs (key, inputs) VALUES (?, ?)", (key, _packed(made_from.inputs)))
            ((number,),) = self._database.query("SELECT last_insert_rowid()")
            rows = [(place, number) for place in dict.fromkeys(made_from.places)]
            self._database.execute_many("INSERT INTO places VALUES (?, ?)", rows)
            for digest, make in made_from.listings.items():
                if not self._database.query("SELECT 1 FROM listings WHERE digest = ?", (digest,)):
                    self._database.query("INSERT INTO listings VALUES (?, ?)", (digest, _pressed(make())))
                self._database.query("INSERT INTO listed VALUES (?, ?)", (number, digest))

    def near(self, place: str, limit: int) -> list[Earlier]:
        """Return the steps that have a place, of which there is still the result: the last ones made, newest first."""
        rows = self._database.query(
            "SELECT records.key, records.snapshot, records.created, records.label, snapshots.created, snapshots.used,"
            " inputs.inputs"
            " FROM places"
            " JOIN inputs ON inputs.id = places.inputs"
            " JOIN records ON records.key = inputs.key"
            " JOIN snapshots ON snapshots.id = records.snapshot"
            " WHERE places.place = ? AND snapshots.committed = 1 ORDER BY places.inputs DESC LIMIT ?",
            (place, limit),
        )
        return [
            Earlier(Digest(key), snapshot, created, label, begun, used, _unpacked(inputs))
            for key, snapshot, created, label, begun, used, inputs in rows
        ]

    def of_snapshots(self, numbers: Iterable[int]) -> dict[int, tuple[Digest, str]]:
        """Return the first key and inputs that are known of each of these snapshots."""
        found: dict[int, tuple[Digest, str]] = {}
        for number in numbers:
            rows = self._database.query(
                "SELECT records.key, inputs.inputs FROM records JOIN inputs ON inputs.key = records.key"
                " WHERE records.snapshot = ? ORDER BY inputs.id DESC LIMIT 1",
                (number,),
            )
            for key, inputs in rows:
                found[number] = Digest(key), _unpacked(inputs)
        return found

    def listing(self, digest: str) -> str | None:
        """Return the listing of the files that a digest stands for, None where none is kept."""
        rows = self._database.query("SELECT files FROM listings WHERE digest = ?", (digest,))
        return _unpacked(rows[0][0]) if rows else None

    def remember_pruned(self, snapshot: int) -> None:
        """Remember of a snapshot that is to be removed which records go with it."""
        self._database.query(
            "INSERT OR REPLACE INTO pruned SELECT key, ? FROM records WHERE snapshot = ?", (time.time_ns(), snapshot)
        )

    def tidy(self) -> None:
        """Remove the listings that no record uses any more, and forget what was pruned long ago."""
        with self._database.transaction():
            self._database.query("DELETE FROM listings WHERE digest NOT IN (SELECT digest FROM listed)")
            self._database.query(
                "DELETE FROM pruned WHERE key NOT IN (SELECT key FROM pruned ORDER BY since DESC LIMIT ?)",
                (_REMEMBERED,),
            )


def _packed(text: str) -> str | bytes:
    return zlib.compress(text.encode(), _LEVEL) if len(text) > _SMALL else text


def _pressed(pieces: Iterable[str]) -> bytes:
    machine = zlib.compressobj(_LEVEL)
    return b"".join([*(machine.compress(piece.encode()) for piece in pieces), machine.flush()])


def _unpacked(kept: str | bytes) -> str:
    return zlib.decompress(kept).decode() if isinstance(kept, bytes) else kept
