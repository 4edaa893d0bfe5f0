"""A build that finds everything done."""

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
class Cached:
    """The same ten steps were built just before."""

    name: str = "cached"
    title: str = "ten RUN echo, all cached"
    targets: Targets = Targets({Kind.BUILDAH: 0.7}, seconds=0.2)

    def prepare(self, contestant: Contestant, site: Site) -> Command:
        command = contestant.build(site.context(*(f"RUN echo {step}" for step in range(10))), "bench-cached")
        site.do(command)
        return command
