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
        """Remember that the repository of ``reference`` has the blob."""
        self._database.query(
            "INSERT OR REPLACE INTO origins (digest, registry, repository, used) VALUES (?, ?, ?, ?)",
            (digest, reference.domain, reference.path, time.time_ns()),
        )

    def repositories(self, digest: Digest, registry: str) -> tuple[str, ...]:
        """Return the paths of some repositories of ``registry`` that had the blob, the latest first."""
        rows = self._database.query(
            "SELECT repository FROM origins WHERE digest = ? AND registry = ? ORDER BY used DESC LIMIT ?",
            (digest, registry, _MOST),
        )
        return tuple(repository for (repository,) in rows)
