"""An image from a registry, unpacked."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from benchmarks.measure import CommandFailed
from benchmarks.registry import PROGRAM
from benchmarks.works.work import Targets, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contestants import Contestant
    from benchmarks.images import Image
    from benchmarks.measure import Command
    from benchmarks.works.work import Site


class Pull(Work):
    """Nothing of the image is there; a round has a variant of its own, for the one store of docker.

    Without ratios it is not timed.
    """

    needs = PROGRAM

    def __init__(self, name: str, title: str, image: Image, ours: tuple[str, ...], ratios: dict[str, float]) -> None:
        self.name = name
        self.title = title
        self.targets = Targets(ratios)
        self.ours = ours
        self.peers = tuple(ratios)
        self.timed = bool(ratios)
        self._image = image

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:
        return contestant.pull(site.publish(self._image, str(turn)).reference)

    def clear(self, contestant: Contestant, site: Site) -> None:  # noqa: ARG002  (it is in the contestant's store)
        contestant.renew()

    def finish(self, contestants: Sequence[Contestant], site: Site) -> None:  # noqa: ARG002  (it is in their stores)
        for contestant in contestants:
            with suppress(CommandFailed):  # it is tried again in the end
                contestant.empty()  # what comes after this is not timed, so inodes may be given back
