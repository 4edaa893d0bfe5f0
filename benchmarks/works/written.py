"""A step with much to show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.contexts import step_that_writes
from benchmarks.images import BASE
from benchmarks.works.pushing import Pushing
from benchmarks.works.work import Targets

if TYPE_CHECKING:
    from benchmarks.works.work import Site


class Written(Pushing):
    """The step's own time, a second or two, is in everybody's."""

    name = "written"
    title = "a RUN writes 20,000 files (1 GiB), pushed"
    targets = Targets({"docker": 0.33, "buildah": 0.2}, peak=200)

    def __init__(self, count: int = 20_000, size: int = (1 << 30) // 20_000) -> None:
        super().__init__(BASE)
        self._count = count
        self._size = size

    def context(self, site: Site, base: str, unique: str) -> str:
        return site.context(base, step_that_writes("/srv/files", unique, self._count, self._size))
