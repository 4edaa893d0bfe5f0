"""Stages that do not wait for each other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.images import BASE
from benchmarks.works.work import Targets, Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.contestants import Contestant
    from benchmarks.measure import Command
    from benchmarks.works.work import Site

_STAGES = 4


class Stages(Work):
    """Each of the stages takes seconds of a processor's time, on whichever machine; the last stage copies from all."""

    name = "stages"
    title = "four stages of 5 s of CPU each"
    targets = Targets({"docker": 1.0, "buildah": 0.6}, peak=200)
    peers = ("docker", "buildah")
    remark = "everybody as they are without a flag for it: buildah builds one stage after the other"

    def __init__(self, seconds: float = 5) -> None:
        self._seconds = seconds

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:
        base = site.publish(BASE, "warm").reference
        site.do(contestant.build(site.context(base, "RUN echo present"), "bench-present"))
        return contestant.build(site.context(base, *self._instructions(base, turn)), "bench-stages")

    def _instructions(self, base: str, turn: int) -> Iterator[str]:
        """Yield what comes after the first FROM."""
        for stage in range(_STAGES):
            yield f"RUN {json.dumps(self._program(f'{turn} {stage}'))}"
            yield f"FROM {base}"
        yield from (f"COPY --from={stage} /done /done-{stage}" for stage in range(_STAGES))

    def _program(self, unique: str) -> list[str]:
        lines = (
            "import time",
            f"while time.process_time() < {self._seconds}: pass",
            f"open('/done', 'w').write('{unique}')",
        )
        return ["python3", "-c", "\n".join(lines)]
