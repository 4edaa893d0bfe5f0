"""What a step costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.images import BASE
from benchmarks.works.work import Targets, Work

if TYPE_CHECKING:
    from benchmarks.contestants import Contestant
    from benchmarks.measure import Command
    from benchmarks.works.work import Site


class Steps(Work):
    """The base is there, and no round has a step that another had."""

    name = "steps"
    title = "ten RUN echo, nothing cached"
    targets = Targets({"docker": 0.33, "buildah": 0.1})
    peers = ("docker", "buildah")

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:
        base = site.publish(BASE, "warm").reference
        site.do(contestant.build(site.context(base, "RUN echo present"), "bench-present"))
        steps = (f"RUN echo {turn} {step}" for step in range(10))
        return contestant.build(site.context(base, *steps), "bench-steps")
