"""Unpacked layers and the results of steps: one folder each, stacked by overlayfs.

A snapshot ``N`` is ``snapshots/N/fs``, the changes of one layer in overlayfs form; while it is active there is
``scratch/N``, room for its work directory and the like. It is written by one owner, who holds the lock ``snapshot N``
as long as there is anything in ``scratch``; after ``commit`` it never changes, though a file may become one of a later
snapshot too, which only its number of links and its ctime tell.
An active snapshot whose lock is free was left by a killed process, unless it is *kept*: those are the containers', and
stay until they are removed. Names are short numbers so that the mount options of
a deep stack fit into a page.

An outline is the snapshot of a layer whose regular files are empty: enough for who only adds files.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from ocibuild.fs import remove_path
from ocibuild.oci import ChainID, Descriptor, DiffID, Digest, chain_ids
from ocibuild.store.inputs import RecordedInputs
from ocibuild.store.removal import try_remove
from ocibuild.store.sweeper import Sweeper
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ocibuild.store.database import Database
    from ocibuild.store.locks import Lock, Locks


_REAL, _RECORDED = "real", "recorded"
_ACTIVE, _COMMITTED, _KEPT = 0, 1, 2
"""What the column ``committed`` says of a snapshot."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A packed layer: the digest of its plain tar, and the descriptor of its blob."""

    diff_id: DiffID
    descriptor: Descriptor


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A committed snapshot; ``layer`` is None until it was packed."""

    id: int
    path: str
    layer: Layer | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A committed snapshot as it is told of: the bytes that it takes, where they are known; times in nanoseconds.

    ``label`` is that of the step whose result it is, None where it is none.
    """

    id: int
    size: int | None
    created: int
    used: int
    layer: Layer | None
    label: str | None


class ActiveSnapshot:
    """A snapshot being written by this process: leaving the block without ``commit()`` removes it.

    ``begun`` is when that was, in nanoseconds since 1970.
    """

    def __init__(self, snapshots: Snapshots, number: int, lock: Lock, begun: int, *, kept: bool = False) -> None:
        self.begun = begun
        self._snapshots = snapshots
        self._lock = lock
        self._stays = kept
        self.id = number
        self.path = snapshots.path(number)
        self.upper = snapshots.upper(number)
        self.scratch = snapshots.scratch(number)

    def __enter__(self) -> Self:
        return self

    def commit(self, *, chain_id: ChainID | None = None, layer: Layer | None = None) -> Snapshot:
        """Seal it and return the committed one; its chain ID and layer may become known later."""
        self._snapshots._seal(self.id, chain_id, layer)  # noqa: SLF001  (the two are one idea)
        self._stays = True
        return Snapshot(self.id, self.upper, layer)

    def recall(self) -> None:
        """Remove it although it is committed or kept, where nobody knows of it yet: by chain, record or container."""
        self._stays = False

    def __exit__(self, *_: object) -> None:
        if self._stays:
            self._snapshots._sweeper.remove(self.scratch, self._lock)  # noqa: SLF001
            return
        try:
            self._snapshots._discard(self.id)  # noqa: SLF001
        finally:
            self._lock.close()


class Snapshots:
    """The snapshots of a store.

    ``owners`` is the form in which the owners of files are kept, such as ``real``: a snapshot that has them in another
    is none for this process. None is for who only looks them up.
    """

    def __init__(self, root: str, database: Database, locks: Locks) -> None:
        self._folder = os.path.join(root, "snapshots")
        self._scratch = os.path.join(root, "scratch")
        self._sweeper = Sweeper()
        self._database = database
        self._locks = locks
        self.owners: str | None = None

    def path(self, number: int) -> str:
        """Return the folder of a snapshot."""
        return os.path.join(self._folder, str(number))

    def upper(self, number: int) -> str:
        """Return the folder of its changes, whether it is there or not."""
        return os.path.join(self.path(number), "fs")

    def scratch(self, number: int) -> str:
        """Return the folder beside a snapshot that is being written."""
        return os.path.join(self._scratch, str(number))

    def sweep(self) -> None:
        """Wait until nothing of this process is left in ``scratch`` but what is of use; safe to repeat."""
        self._sweeper.finish()

    def begin(self, *, outline: bool = False, kept: bool = False) -> ActiveSnapshot:
        """Begin a new, empty snapshot, or outline, or one that is kept whatever becomes of this process."""
        now = time.time_ns()
        with self._database.transaction():
            owners = _form(self.owners or _REAL, outline=outline)
            self._database.query(
                "INSERT INTO snapshots (committed, owners, created, used) VALUES (?, ?, ?, ?)",
                (_KEPT if kept else _ACTIVE, owners, now, now),
            )
            ((number,),) = self._database.query("SELECT last_insert_rowid()")
            lock = self._locks.hold(_lock_name(number))  # before anybody can see the row
        active = ActiveSnapshot(self, number, lock, now, kept=kept)
        try:
            os.makedirs(self._scratch, exist_ok=True)
            for path in (active.path, active.scratch):
                _make_anew(path)
            os.mkdir(active.upper)
        except BaseException:
            active.__exit__()
            raise
        return active

    def by_chain(self, chain_id: ChainID, *, outline: bool = False) -> Snapshot | None:
        """Return the snapshot of the topmost layer of a stack, where it is unpacked, or its outline.

        That counts as a use.
        """
        return self._used("SELECT id, diff_id, layer FROM snapshots WHERE chain_id = ?", chain_id, outline=outline)

    def by_layers(self, layers: Sequence[Layer], *, outline: bool = False) -> tuple[Snapshot, ...] | None:
        """Return the snapshots, or outlines, of a stack of layers, oldest first, or None where one is missing."""
        chains = chain_ids([layer.diff_id for layer in layers])
        found = tuple(snapshot for chain in chains if (snapshot := self.by_chain(chain, outline=outline)))
        return found if len(found) == len(layers) else None

    def by_id(self, number: int) -> Snapshot | None:
        """Return a committed snapshot, or None where there is none; that counts as a use."""
        return self._used("SELECT id, diff_id, layer FROM snapshots WHERE id = ?", number, outline=False)

    def kept(self, number: int) -> Snapshot | None:
        """Return a kept snapshot, or None where there is none that this process can use."""
        forms = [_form(owners, outline=False) for owners in (self.owners or _REAL, self.owners or _RECORDED)]
        rows = self._database.query(
            "SELECT id, diff_id, layer FROM snapshots WHERE id = ? AND committed = ? AND owners IN (?, ?)",
            (number, _KEPT, *forms),
        )
        return self._snapshot(*rows[0]) if rows else None

    def reopen(self, number: int) -> ActiveSnapshot:
        """Let this process write to a kept snapshot, which nobody else does; the caller knows that it can use it."""
        active = ActiveSnapshot(self, number, self._locks.hold(_lock_name(number)), time.time_ns(), kept=True)
        os.makedirs(self._scratch, exist_ok=True)
        _make_anew(active.scratch)
        return active

    def remove_kept(self, number: int) -> None:
        """Remove a kept snapshot; what this process may not remove is left to who can."""
        self._database.query(
            "UPDATE snapshots SET committed = ? WHERE id = ? AND committed = ?", (_ACTIVE, number, _KEPT)
        )
        self._discard_orphan(number)

    def _used(self, statement: str, value: ChainID | int, *, outline: bool) -> Snapshot | None:
        """Return the first snapshot that a statement chooses and this process can use, from now on used."""
        usable = " AND committed = 1 AND owners IN (?, ?) ORDER BY id LIMIT 1"
        forms = [_form(owners, outline=outline) for owners in (self.owners or _REAL, self.owners or _RECORDED)]
        with self._database.transaction():
            rows = self._database.query(statement + usable, (value, *forms))
            self.touch([row[0] for row in rows])
        return self._snapshot(*rows[0]) if rows else None

    def packed(self, snapshot: Snapshot, layer: Layer) -> Snapshot:
        """Record what a committed snapshot was packed to; idempotent."""
        self._database.query(
            "UPDATE snapshots SET diff_id = ?, layer = ? WHERE id = ?",
            (layer.diff_id, _layer_json(layer), snapshot.id),
        )
        return Snapshot(snapshot.id, snapshot.path, layer)

    def name(self, chains: Mapping[int, ChainID]) -> None:
        """Record the chain IDs of packed snapshots, by their number: images made of them need no unpacking."""
        rows = [(chain, number, chain) for number, chain in chains.items()]
        self._database.execute_many("UPDATE snapshots SET chain_id = ? WHERE id = ? AND chain_id IS NOT ?", rows)

    def touch(self, numbers: Sequence[int]) -> None:
        """Remember that these were used now."""
        now = time.time_ns()
        self._database.execute_many("UPDATE snapshots SET used = ? WHERE id = ?", [(now, n) for n in numbers])

    def rows(self) -> list[Row]:
        """Return all committed snapshots, whatever form their owners have."""
        rows = self._database.query(
            "SELECT id, size, created, used, diff_id, layer,"
            " (SELECT label FROM records WHERE records.snapshot = snapshots.id LIMIT 1)"
            " FROM snapshots WHERE committed = 1"
        )
        return [
            Row(number, size, created, used, _layer(diff_id, layer), label)
            for number, size, created, used, diff_id, layer, label in rows
        ]

    def remember_size(self, number: int, size: int) -> None:
        """Remember how many bytes a committed snapshot takes."""
        self._database.query("UPDATE snapshots SET size = ? WHERE id = ?", (size, number))

    def remove(self, number: int, *, unless_used_since: int) -> bool:
        """Remove a committed snapshot with its records, unless it was used after that time; tell whether it was.

        Where this process may not remove all of it, it is gone for everybody, and the rest is left to ``recover()``.
        """
        lock = self._locks.try_hold(_lock_name(number))
        if lock is None:
            return False
        try:
            with self._database.transaction():
                known = "SELECT 1 FROM snapshots WHERE id = ? AND committed = 1 AND used <= ?"
                if not self._database.query(known, (number, unless_used_since)):
                    return False
                RecordedInputs(self._database).remember_pruned(number)
                # from now on it is one that is being written, and what we leave is removed as such
                self._database.query("UPDATE snapshots SET committed = 0 WHERE id = ?", (number,))
            return self._discard(number)
        finally:
            lock.close()

    def recover(self) -> None:
        """Remove what killed processes left: active snapshots without an owner, folders without a record or owner.

        What this process may not remove stays.
        """
        folders = os.listdir(self._folder)  # before their records are read: a record comes before its folder
        recorded = {str(number) for (number,) in self._database.query("SELECT id FROM snapshots")}
        for name in set(folders) - recorded:
            try_remove(os.path.join(self._folder, name))
        for (number,) in self._database.query("SELECT id FROM snapshots WHERE committed = 0"):
            self._discard_orphan(number)
        with suppress(FileNotFoundError):
            for name in os.listdir(self._scratch):
                self._sweep_orphan(name)

    def _sweep_orphan(self, name: str) -> None:
        lock = self._locks.try_hold(_lock_name(name))
        if lock is not None:
            self._sweeper.remove(os.path.join(self._scratch, name), lock)

    def _discard_orphan(self, number: int) -> None:
        lock = self._locks.try_hold(_lock_name(number))
        if lock is None:
            return
        try:
            # it may have been committed between the query and the lock
            if self._database.query("SELECT 1 FROM snapshots WHERE id = ? AND committed = 0", (number,)):
                self._discard(number)
        finally:
            lock.close()

    def _seal(self, number: int, chain_id: ChainID | None, layer: Layer | None) -> None:
        self._database.query(
            "UPDATE snapshots SET committed = 1, chain_id = ?, diff_id = ?, layer = ? WHERE id = ?",
            (chain_id, layer.diff_id if layer else None, _layer_json(layer), number),
        )

    def _discard(self, number: int) -> bool:
        """Remove the folders, then the record: killed in between, the next start does it again, and so it does with

        what this process may not remove. Return whether nothing is left.
        """
        removed = try_remove(self.scratch(number)) and try_remove(self.path(number))
        if removed:
            self._database.query("DELETE FROM snapshots WHERE id = ?", (number,))
        return removed

    def _snapshot(self, number: int, diff_id: str | None, layer: str | None) -> Snapshot:
        return Snapshot(number, self.upper(number), _layer(diff_id, layer))


def _layer(diff_id: str | None, layer: str | None) -> Layer | None:
    if not diff_id or not layer:
        return None
    return Layer(DiffID(Digest.parse(diff_id)), Descriptor.from_json(json.loads(layer)))


def _layer_json(layer: Layer | None) -> str | None:
    return json.dumps(layer.descriptor.to_json()) if layer else None


def _make_anew(path: str) -> None:
    try:
        os.mkdir(path)
    except FileExistsError:  # of a database that was removed
        remove_path(path)
        os.mkdir(path)


def _form(owners: str, *, outline: bool) -> str:
    """Return what the database says of how a snapshot has its files."""
    return f"outline, {owners}" if outline else owners


def _lock_name(number: int | str) -> str:
    return f"snapshot {number}"
