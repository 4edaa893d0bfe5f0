"""An image that the registry has but for its last layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.images import TEN, publish
from benchmarks.registry import PROGRAM
from benchmarks.works.work import Targets, Work

if TYPE_CHECKING:
    from benchmarks.contestants import Contestant
    from benchmarks.measure import Command
    from benchmarks.works.work import Site


class Push(Work):
    """Ten layers of which nine are there; the config, a blob of some hundred bytes, is new and is not counted."""

    name = "push"
    title = "push ten layers of which nine are there"
    targets = Targets({"skopeo": 0.7}, count=1)
    needs = PROGRAM
    counted = "layers sent"
    ours = ("ocibuild, root",)
    peers = ("skopeo",)

    def __init__(self) -> None:
        self._mark = 0
        self._layers: set[str] = set()

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:
        image = site.publish(TEN, str(turn))
        site.do(contestant.keep(image.reference))
        repository = f"push-{self.contestants.index(contestant.name)}"
        publish(TEN.variant("before"), site.destination.address, repository)
        self._layers = {blob.digest for blob in image.variant.layers}
        self._mark = site.destination.mark()
        return contestant.push(image.reference, f"{site.destination.address}/{repository}:{turn}")

    def count(self, site: Site) -> int:
        sent = site.destination.uploaded(self._mark)
        return sum(times for digest, times in sent.items() if digest in self._layers)
