"""What one step more costs."""

from __future__ import annotations

import json
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.contestants import Ocibuild
from benchmarks.measure import CommandFailed
from benchmarks.works.work import Targets, Work

if TYPE_CHECKING:
    from benchmarks.contestants import Contestant
    from benchmarks.images import Image
    from benchmarks.measure import Command
    from benchmarks.works.work import Site

_STEPS = 12


class OneMore(Work):
    """Trivial steps in one root file system, made by a snapshotter; the first, which makes it, does not count.

    The count is the median of the others, in milliseconds: from the start of a step to its end, as the build tells it.
    """

    counted = "ms for one more RUN"

    def __init__(
        self, name: str, title: str, image: Image, milliseconds: int, *, snapshotter: str, ours: tuple[str, ...]
    ) -> None:
        self.name = name
        self.title = title
        self.ours = ours
        self._snapshotter = snapshotter
        self.targets = Targets(count=milliseconds)
        self._image = image

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:
        assert isinstance(contestant, Ocibuild)
        base = site.publish(self._image, "rows").reference
        site.do(contestant.build(site.context(base, "RUN echo present"), "bench-present"))
        steps = (f"RUN echo {self.name} {turn} {step}" for step in range(_STEPS))
        return contestant.build_telling(site.context(base, *steps), "--snapshotter", self._snapshotter)

    def count(self, site: Site) -> int:
        with open(site.log, encoding="utf-8") as log:
            vertices = [
                vertex for line in log if line.startswith("{") for vertex in json.loads(line).get("vertexes", ())
            ]
        ended = {vertex["name"]: vertex for vertex in vertices if " RUN " in vertex["name"] and vertex.get("completed")}
        if len(ended) != _STEPS:
            raise CommandFailed(f"{len(ended)} steps ran in place of {_STEPS}")
        _, *others = (_seconds(vertex["started"], vertex["completed"]) for vertex in ended.values())
        return round(1000 * median(others))


def _seconds(begin: str, end: str) -> float:
    first, last = (datetime.fromisoformat(text) for text in (begin, end))
    return (last - first).total_seconds()
