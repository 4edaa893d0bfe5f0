"""A build that finds everything done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.images import BASE
from benchmarks.works.work import Targets, Work

if TYPE_CHECKING:
    from benchmarks.contestants import Contestant
    from benchmarks.measure import Command
    from benchmarks.works.work import Site


class Cached(Work):
    """The same ten steps were built just before."""

    name = "cached"
    title = "ten RUN echo, all cached"
    targets = Targets({"docker": 1.0, "buildah": 0.5}, seconds=0.12)
    peers = ("docker", "buildah")

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:  # noqa: ARG002  (all turns are alike)
        steps = (f"RUN echo {step}" for step in range(10))
        command = contestant.build(site.context(site.publish(BASE, "warm").reference, *steps), "bench-cached")
        site.do(command)
        return command
