"""The first build on a new machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.works.work import Targets, Work

if TYPE_CHECKING:
    from benchmarks.contestants import Contestant
    from benchmarks.measure import Command
    from benchmarks.works.work import Site


class Cold(Work):
    """Stores are emptied before each round; the page cache is not."""

    name = "cold"
    title = "cold: pull a 75 MB base, unpack, one RUN"
    targets = Targets({"BuildKit": 0.5, "buildah": 0.25})

    def prepare(self, contestant: Contestant, site: Site) -> Command:
        contestant.empty()
        return contestant.build(site.context("RUN echo cold"), "bench-cold")
