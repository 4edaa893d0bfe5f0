"""A container that has little to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.images import BASE
from benchmarks.measure import Command, CommandFailed
from benchmarks.works.work import Targets, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contestants import Contestant
    from benchmarks.works.work import Site

_CLOCK = "date +%s%N"
_MILLISECOND = 10**6


class First(Work):
    """Its process says what time it is, which is its first output. Python alone takes 15 to 20 ms of the target."""

    name = "first"
    title = "run --rm of an image that is there"
    targets = Targets({"podman": 0.3}, count=80)
    peers = ("podman",)
    counted = "ms to the first output"
    remark = "podman: with the host's network, as ours"

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:
        reference = site.publish(BASE, "warm").reference
        if turn == 0:
            site.do(contestant.pull(reference))
        asked = contestant.run(reference, _CLOCK)
        return Command(("sh", "-c", f'{_CLOCK}; "$@"', "sh", *asked.argv), asked.env, asked.cwd)

    def count(self, site: Site) -> int:
        with open(site.log, encoding="utf-8", errors="replace") as file:
            moments = [int(line) for line in file if line.strip().isdigit()]
        if len(moments) != 2:
            raise CommandFailed("the process did not say what time it was")
        return round((moments[1] - moments[0]) / _MILLISECOND)

    def finish(self, contestants: Sequence[Contestant], site: Site) -> None:  # noqa: ARG002  (it is in their stores)
        for contestant in contestants:
            contestant.renew()
