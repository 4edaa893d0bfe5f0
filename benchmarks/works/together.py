"""The same image for several processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.images import BIG
from benchmarks.registry import PROGRAM
from benchmarks.works.work import Targets, Work

if TYPE_CHECKING:
    from benchmarks.contestants import Contestant
    from benchmarks.measure import Command
    from benchmarks.works.work import Site


class Together(Work):
    """Pulls of one image in processes with one store, in which nothing is, beside one pull.

    The count is that of the blob that was fetched most often; a part of it counts as a whole.
    """

    name = "together"
    title = "four pulls of a 1 GiB image at once"
    targets = Targets(peak=None, count=1)
    needs = PROGRAM
    counted = "fetches of a blob"
    ours = ("ocibuild, four at once",)
    peers = ("ocibuild, root",)

    def __init__(self) -> None:
        self._mark = 0

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:  # noqa: ARG002  (turns are alike)
        contestant.renew()
        image = site.publish(BIG, "0")
        self._mark = site.registry.mark()
        return contestant.pull(image.reference)

    def count(self, site: Site) -> int:
        variant = site.publish(BIG, "0").variant
        fetched = site.registry.fetched(self._mark)
        return max(-(-fetched[digest] // size) for digest, size in variant.sizes.items())

    def clear(self, contestant: Contestant, site: Site) -> None:  # noqa: ARG002  (it is in the contestant's store)
        contestant.renew()
