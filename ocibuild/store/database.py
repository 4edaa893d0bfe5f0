"""What the store knows beyond OCI: one SQLite database in WAL mode, safe between threads and between processes."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from ocibuild.errors import NoSpace, StoreError, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ocibuild.store.locks import Locks

VERSION = 7
"""The schema's version, kept in SQLite's ``user_version``."""

_PATIENCE = 60
"""Seconds for which another process that writes is waited for."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS snapshots (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    committed INTEGER NOT NULL DEFAULT 0,
    chain_id TEXT,
    diff_id TEXT,
    layer TEXT,
    owners TEXT NOT NULL DEFAULT 'real',
    size INTEGER,
    created INTEGER NOT NULL,
    used INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS snapshots_by_chain ON snapshots (chain_id);
CREATE TABLE IF NOT EXISTS records (
    key TEXT PRIMARY KEY,
    snapshot INTEGER NOT NULL REFERENCES snapshots (id) ON DELETE CASCADE,
    label TEXT NOT NULL DEFAULT '',
    created TEXT NOT NULL,
    used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime INTEGER NOT NULL,
    ctime INTEGER NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (device, inode)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS origins (
    digest TEXT NOT NULL,
    registry TEXT NOT NULL,
    repository TEXT NOT NULL,
    learnt INTEGER NOT NULL,
    PRIMARY KEY (digest, registry, repository)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inputs (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE REFERENCES records (key) ON DELETE CASCADE,
    inputs BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS places (
    place TEXT NOT NULL,
    inputs INTEGER NOT NULL REFERENCES inputs (id) ON DELETE CASCADE,
    PRIMARY KEY (place, inputs)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS places_by_inputs ON places (inputs);
CREATE TABLE IF NOT EXISTS listings (
    digest TEXT PRIMARY KEY,
    files BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS listed (
    inputs INTEGER NOT NULL REFERENCES inputs (id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    PRIMARY KEY (inputs, digest)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pruned (
    key TEXT PRIMARY KEY,
    since INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS containers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    snapshot INTEGER NOT NULL,
    facts TEXT NOT NULL,
    created INTEGER NOT NULL,
    finished INTEGER,
    status INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS summaries (
    manifest TEXT PRIMARY KEY,
    image_id TEXT NOT NULL,
    created TEXT,
    size INTEGER NOT NULL,
    labels TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    begun INTEGER NOT NULL
);
"""

_ADDED = {
    3: ("ALTER TABLE snapshots ADD COLUMN owners TEXT NOT NULL DEFAULT 'real'",),
    4: (
        "ALTER TABLE snapshots ADD COLUMN size INTEGER",
        "ALTER TABLE records ADD COLUMN label TEXT NOT NULL DEFAULT ''",
    ),
    6: ("DROP TABLE IF EXISTS listings",),  # their digests were short
}
"""By version, what a store of an older one lacks beside whole tables, or must not have."""


class Database:
    """One connection, shared by the threads of this process under a lock."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.RLock()
        with self._translating():
            self._connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    @classmethod
    def open(cls, path: str, locks: Locks) -> Self:
        """Open the database at ``path``, made where it is missing.

        A new one gets its name when it is complete: of several that put one file in WAL mode at once, SQLite refuses
        all but the first, without waiting.
        """
        if not os.path.exists(path):
            with locks.holding("making the database"):
                if not os.path.exists(path):
                    cls._make(path)
        return cls(path)

    @classmethod
    def _make(cls, path: str) -> None:
        new = f"{path}.new"
        # what a maker left that was killed; and the log of a database that was removed would be taken for the new one's
        for name in (new, *(one + log for one in (new, path) for log in ("-journal", "-wal", "-shm"))):
            with suppress(FileNotFoundError):
                os.unlink(name)
        cls(new).close()
        os.rename(new, path)

    def _prepare(self) -> None:
        version = self._version()
        # a lost transaction costs a step run again, so one fsync a checkpoint is enough
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        if version < VERSION:
            self._connection.execute("PRAGMA journal_mode = WAL")
            with self.transaction():
                self._bring_up_to_date(self._version())  # again: another process may have done it meanwhile

    def _version(self) -> int:
        """Return the version that the store has, 0 for a new one; raise StoreTooNew."""
        version: int = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreTooNew(
                f"{self._path}: the store has version {version}, and this ocibuild knows {VERSION} at most",
                remedy="use a newer ocibuild, or another store with --root",
            )
        return version

    def _bring_up_to_date(self, version: int) -> None:
        added = [statement for since, all_ in _ADDED.items() if 0 < version < since for statement in all_]
        for statement in (*added, *_SCHEMA.split(";"), f"PRAGMA user_version = {VERSION}"):
            self._connection.execute(statement)

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        with self._lock, self._translating():
            return self._connection.execute(statement, values).fetchall()

    def execute_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each of ``rows``, all or nothing."""
        with self.transaction(), self._translating():
            self._connection.executemany(statement, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all inside the block or, after an exception, nothing of it; one writer at a time.

        A block in another's is a part of that.
        """
        with self._lock:
            if self._connection.in_transaction:
                yield
            else:
                yield from self._transact()

    def _transact(self) -> Iterator[None]:
        self.query("BEGIN IMMEDIATE")
        try:
            yield
            self.query("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full device ends it already
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def without_waiting(self) -> Iterator[None]:
        """Raise StoreError in the block where another process writes, rather than wait for it."""
        with self._lock:
            self.query("PRAGMA busy_timeout = 0")
            try:
                yield
            finally:
                self.query(f"PRAGMA busy_timeout = {_PATIENCE * 1000}")

    def close(self) -> None:
        """Close the connection; safe to repeat."""
        self._connection.close()

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "full" in str(error) or _is_full(self._path):
                raise NoSpace(f"{self._path}: no space left on the device", remedy="free some space") from error
            raise StoreError(f"{self._path}: {error}", remedy="check the store's permissions") from error
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{self._path}: {error}", remedy="remove this file; the images stay, the build cache starts anew"
            ) from error


def _is_full(path: str) -> bool:
    """Tell whether the device has no room at all: SQLite calls that an I/O error, or a file that cannot be opened."""
    try:
        return os.statvfs(os.path.dirname(path)).f_bavail == 0
    except OSError:
        return False
