"""An image from one registry to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.measure import CommandFailed
from benchmarks.registry import PROGRAM
from benchmarks.works.work import Targets, Work

if TYPE_CHECKING:
    from benchmarks.contestants import Contestant
    from benchmarks.images import Image
    from benchmarks.measure import Command
    from benchmarks.works.work import Site


class Copy(Work):
    """The destination has nothing, and each copy goes to another repository; what counts is that all was sent.

    Without ratios it is not timed.
    """

    needs = PROGRAM
    counted = "layers sent"
    ours = ("ocibuild, root",)

    def __init__(self, name: str, title: str, image: Image, ratios: dict[str, float]) -> None:
        self.name = name
        self.title = title
        self.targets = Targets(ratios)
        self.peers = tuple(ratios)
        self.timed = bool(ratios)
        self._image = image
        self._mark = 0

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:
        source = site.publish(self._image, "0").reference
        self._mark = site.destination.mark()
        who = self.contestants.index(contestant.name)
        return contestant.copy(source, f"{site.destination.address}/copy-{turn}-{who}:latest")

    def count(self, site: Site) -> int:
        wanted = {blob.digest for blob in site.publish(self._image, "0").variant.layers}
        sent = wanted & site.destination.uploaded(self._mark).keys()
        if sent != wanted:
            raise CommandFailed(f"{len(sent)} of {len(wanted)} layers were sent")
        return len(sent)

    def clear(self, contestant: Contestant, site: Site) -> None:  # noqa: ARG002  (who did it is the same)
        site.destination.wipe()
