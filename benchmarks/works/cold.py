"""The first build on a new machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.contestants import Kind
from benchmarks.works.work import Targets

if TYPE_CHECKING:
    from benchmarks.contestants import Contestant
    from benchmarks.measure import Command
    from benchmarks.works.work import Site


@dataclass(frozen=True, slots=True)
class Cold:
    """Stores are emptied before each round; the page cache is not."""

    name: str = "cold"
    title: str = "cold: pull a 75 MB base, unpack, one RUN"
    targets: Targets = Targets({Kind.BUILDKIT: 0.5, Kind.BUILDAH: 0.25})

    def prepare(self, contestant: Contestant, site: Site) -> Command:
        contestant.empty()
        return contestant.build(site.context("RUN echo cold"), "bench-cold")
