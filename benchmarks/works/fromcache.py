"""The build of a new machine that finds a cache in a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.images import BASE
from benchmarks.registry import PROGRAM
from benchmarks.works.work import Targets, Work

if TYPE_CHECKING:
    from benchmarks.contestants import Contestant
    from benchmarks.measure import Command
    from benchmarks.works.work import Site


class FromCache(Work):
    """Ten steps, each with a layer of its own, which another store put into a cache; the image is there in the end.

    They sleep, which shows where they are not found. Nothing of the base is there either: a round has one of its own,
    for the one store of docker.
    """

    name = "from-cache"
    title = "warm from a registry cache, an empty store, ten RUN"
    targets = Targets({"docker": 0.5, "buildah": 0.5}, peak=200)
    needs = PROGRAM
    peers = ("docker", "buildah")
    remark = (
        "each reads a cache in its own form, filled from another store (--cache-to a registry); "
        "docker's was filled by a second engine, with containerd's image store, since one with overlay2 fills none"
    )

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:
        contestant.renew()
        who = self.contestants.index(contestant.name)
        base = site.publish(BASE, f"cache-{turn}").reference
        steps = (f"RUN sleep 0.2 && echo {turn} {who} > /step-{step}" for step in range(10))
        context = site.context(base, *steps)
        cache = f"{site.destination.address}/cache-{turn}-{who}"
        with contestant.elsewhere() as other:
            site.do(other.fill_cache(context, "bench-cache", cache))
        return contestant.build_from_cache(context, "bench-cache", cache)

    def clear(self, contestant: Contestant, site: Site) -> None:  # noqa: ARG002  (who did it is the same)
        site.destination.wipe()
