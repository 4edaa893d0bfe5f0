"""The first build on a new machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.images import BASE
from benchmarks.works.work import Targets, Work

if TYPE_CHECKING:
    from benchmarks.contestants import Contestant
    from benchmarks.measure import Command
    from benchmarks.works.work import Site


class Cold(Work):
    """Nothing of the base is there; a round has one of its own, and only the page cache knows it."""

    name = "cold"
    title = "cold: pull a 75 MB base, unpack, one RUN"
    targets = Targets({"docker": 0.33, "buildah": 0.15})
    peers = ("docker", "buildah")

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:
        return contestant.build(
            site.context(site.publish(BASE, f"cold-{turn}").reference, "RUN echo cold"), "bench-cold"
        )
