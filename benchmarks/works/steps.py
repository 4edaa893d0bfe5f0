"""What a step costs."""

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
class Steps:
    """The base is there, and no round has a step that another had."""

    name: str = "steps"
    title: str = "ten RUN echo, nothing cached"
    targets: Targets = Targets({Kind.BUILDKIT: 0.5, Kind.BUILDAH: 0.15})

    def prepare(self, contestant: Contestant, site: Site) -> Command:
        site.do(contestant.build(site.context("RUN echo present"), "bench-present"))
        number = site.fresh()
        steps = (f"RUN echo {number} {step}" for step in range(10))
        return contestant.build(site.context(*steps), "bench-steps")
