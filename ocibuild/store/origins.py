"""Which repositories are known to have a blob: a push to another one of the same registry can take it from there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocibuild.oci import Digest, Reference
    from ocibuild.store.database import Database

_MOST = 3


class Origins:
    """Repositories by blob. They may have lost it by now: who uses this must be ready for that."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, digest: Digest, reference: Reference) -> None:
        """Remember that the repository of ``reference`` has the blob; nothing is written where that is known."""
        row = (digest, reference.domain, reference.path)
        if not self._database.query("SELECT 1 FROM origins WHERE digest = ? AND registry = ? AND repository = ?", row):
            self._database.query(
                "INSERT OR IGNORE INTO origins (digest, registry, repository, learnt) VALUES (?, ?, ?, ?)",
                (*row, time.time_ns()),
            )

    def repositories(self, digest: Digest, registry: str) -> tuple[str, ...]:
        """Return the paths of some repositories of ``registry`` that had the blob, the latest learnt first."""
        rows = self._database.query(
            "SELECT repository FROM origins WHERE digest = ? AND registry = ? ORDER BY learnt DESC LIMIT ?",
            (digest, registry, _MOST),
        )
        return tuple(repository for (repository,) in rows)
