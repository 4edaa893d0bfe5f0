from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from benchmarks.contestants import Contestant
from benchmarks.growth import Course, Growing, GrowthReport, follow
from benchmarks.growth.course import Size
from benchmarks.growth.growing import instructions
from benchmarks.measure import Command
from benchmarks.registry import Registry
from benchmarks.works import Site

if TYPE_CHECKING:
    from pathlib import Path

_ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


class _Nobody(Contestant):
    name = "nobody"
    renewed = 0

    def version(self) -> str:
        return "none"

    def empty(self) -> None: ...

    def renew(self) -> None:
        self.renewed += 1


class _Sleeps(Growing):
    title = "milliseconds"
    smallest = 1
    sizes: tuple[int, ...] = (20, 100)

    def __init__(self, script: str = "sleep 0.") -> None:
        self.script = script
        self.turns: list[int] = []
        self.finished = False

    def prepare(self, contestant: Contestant, site: Site, size: int, turn: int) -> Command:
        self.turns.append(turn)
        return Command(("sh", "-c", f"{self.script}{size:03}", "sh", str(size)), _ENVIRONMENT)

    def finish(self) -> None:
        self.finished = True


def _site(folder: Path) -> Site:
    nowhere = Registry("127.0.0.1:1", "none", str(folder))
    return Site(nowhere, nowhere, str(folder))


def _report(*courses: Course) -> GrowthReport:
    return GrowthReport(courses, {}, [], 3)


def test_every_size_is_built_in_every_round_and_each_time_anew(tmp_path: Path) -> None:
    growing, nobody = _Sleeps(), _Nobody()

    course = follow(growing, nobody, _site(tmp_path), rounds=2)

    assert course.failure is None
    assert [size.size for size in course.sizes] == [1, 20, 100]
    assert [len(size.seconds) for size in course.sizes] == [10, 10, 10]
    assert min(course.sizes[-1].seconds) >= 0.1
    assert growing.turns == list(range(33))
    assert growing.finished
    assert nobody.renewed == 1


def test_what_takes_long_is_built_once_a_round(tmp_path: Path) -> None:
    growing = _Sleeps("sleep $(($1 / 10)).")
    growing.sizes = (20,)

    course = follow(growing, _Nobody(), _site(tmp_path), rounds=1)

    assert [len(size.seconds) for size in course.sizes] == [5, 1]


def test_a_build_that_fails_ends_the_course_and_says_why(tmp_path: Path) -> None:
    growing = _Sleeps("echo no room; false ")

    course = follow(growing, _Nobody(), _site(tmp_path), rounds=1)

    assert course.failure == "no room"
    assert growing.finished
    assert "milliseconds  failed: no room" in _report(course).to_text()


def test_the_last_row_has_the_exponent_of_what_is_beyond_the_smallest() -> None:
    course = Course("steps", [Size(1, [3.01]), Size(11, [3.11, 3.0, 3.2]), Size(101, [4.01], peak=250 << 20)])

    rows = _report(course).to_markdown().splitlines()

    assert rows[2] == "| steps | 1 | 3.010 | 3.010-3.010 | 1 |  |  |  | 0 (200) |"
    assert rows[3] == "| steps | 11 | 3.110 | 3.000-3.200 | 3 | 0.100 |  |  | 0 (200) |"
    assert rows[4] == "| steps | 101 | 4.010 | 4.010-4.010 | 1 | 1.000 | 1.00 | 1.00 (1.05) | 250 (200, missed) |"


def test_an_exponent_that_is_too_large_is_marked() -> None:
    course = Course("steps", [Size(0, [1.0]), Size(10, [2.0]), Size(100, [101.0])])

    assert "2.00 (1.05, missed)" in _report(course).to_text()


def test_a_course_in_which_nothing_grew_is_a_failure_and_no_exponent() -> None:
    course = Course("steps", [Size(1, [1.0]), Size(10, [0.9]), Size(100, [2.0])])

    assert "failed: 10 took no longer than 1" in _report(course).to_text()


def test_a_thousand_steps_are_in_stages_that_wait_for_each_other() -> None:
    lines = list(instructions("base", 1_000, 7))

    stages = [list(stage) for first, stage in itertools.groupby(lines, lambda line: line == "FROM base") if not first]
    runs = [[line for line in stage if line.startswith("RUN ")] for stage in stages]
    assert [len(stage) for stage in runs] == [498, 498, 4]
    assert len({line for stage in runs for line in stage}) == 1_000
    assert [stage[0].split()[:2] for stage in stages[1:]] == [["COPY", "--from=0"], ["COPY", "--from=1"]]
    assert max(map(len, stages)) < 500
