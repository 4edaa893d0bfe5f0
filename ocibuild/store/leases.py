"""Who works with the store: nothing that was used since the first of them began is pruned.

Whoever works holds the lock ``working``, as all do together, and has a row with the time when it began, and the lock
``lease N`` of that: a row whose lock is free was left by a killed process.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.store.database import Database
    from ocibuild.store.locks import Lock, Locks

_WORKING = "working"


class Leases:
    """The leases of a store."""

    def __init__(self, database: Database, locks: Locks) -> None:
        self._database = database
        self._locks = locks

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold a lease inside the block."""
        working = self._locks.hold(_WORKING, shared=True)
        try:
            number, lock = self._begin()
            try:
                yield
            finally:
                self._forget(number)
                lock.close()
        finally:
            working.close()

    def _begin(self) -> tuple[int, Lock]:
        with self._database.transaction():
            self._database.query("INSERT INTO leases (begun) VALUES (?)", (time.time_ns(),))
            ((number,),) = self._database.query("SELECT last_insert_rowid()")
            return number, self._locks.hold(_lock_name(number))  # before anybody can see the row

    def oldest(self) -> int | None:
        """Return when the first that is held began, in nanoseconds since 1970, None where there is none."""
        begun = []
        for number, when in self._database.query("SELECT id, begun FROM leases"):
            lock = self._locks.try_hold(_lock_name(number))
            if lock is None:
                begun.append(when)
                continue
            self._forget(number)
            lock.close()
        return min(begun, default=None)

    def keep_out(self) -> Lock | None:
        """Let nobody begin until the lock that this returns is closed; None where somebody works already."""
        return self._locks.try_hold(_WORKING)

    def _forget(self, number: int) -> None:
        self._database.query("DELETE FROM leases WHERE id = ?", (number,))


def _lock_name(number: int) -> str:
    return f"lease {number}"
