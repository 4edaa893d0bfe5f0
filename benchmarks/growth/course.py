"""Running builds of one kind in all their sizes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.measure import CommandFailed, run, run_watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.contestants import Contestant
    from benchmarks.growth.growing import Growing
    from benchmarks.works import Site

_ENOUGH_SECONDS = 2.0
_ENOUGH_TIMES = 5


@dataclass(slots=True)
class Size:
    """What one size took: seconds of each time, the peak in bytes."""

    size: int
    seconds: list[float] = field(default_factory=list)
    peak: int = 0


@dataclass(slots=True)
class Course:
    """``sizes`` from the smallest on; ``failure`` tells why the figures are not complete."""

    title: str
    sizes: list[Size]
    failure: str | None = None


def follow(growing: Growing, contestant: Contestant, site: Site, rounds: int) -> Course:
    """Build every size in each round, one after the other, so that a slow minute is not one size's alone.

    The first round warms up, with the memory watched. In the others what is quick is built several times, for there
    is most noise in what little small sizes take beyond the smallest.
    """
    course = Course(growing.title, [Size(size) for size in (growing.smallest, *growing.sizes)])
    turns = itertools.count()
    try:
        for size in course.sizes:
            command = growing.prepare(contestant, site, size.size, next(turns))
            size.peak = run_watched(command, site.log, contestant.daemons())
        for _ in range(rounds):
            for size in course.sizes:
                size.seconds += _several(growing, contestant, site, size.size, turns)
    except CommandFailed as error:
        course.failure = str(error)
    finally:
        growing.finish()
        contestant.renew()
    return course


def _several(growing: Growing, contestant: Contestant, site: Site, size: int, turns: Iterator[int]) -> Iterator[float]:
    spent = 0.0
    for _ in range(_ENOUGH_TIMES):
        seconds = run(growing.prepare(contestant, site, size, next(turns)), site.log)
        yield seconds
        spent += seconds
        if spent >= _ENOUGH_SECONDS:
            return
