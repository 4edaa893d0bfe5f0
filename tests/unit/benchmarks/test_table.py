from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.measure import Result
from benchmarks.table import Report
from benchmarks.works import Targets, Work

if TYPE_CHECKING:
    from benchmarks.contestants import Contestant
    from benchmarks.measure import Command
    from benchmarks.works import Site

_MIB = 1 << 20


class _Digging(Work):
    name = "dig"
    title = "dig a hole"
    targets = Targets({"docker": 0.5}, seconds=1.0, peak=200, count=3)
    ours = ("ocibuild, root",)
    peers = ("docker",)
    counted = "spades"
    remark = "docker digs with a shovel"

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:
        raise NotImplementedError(contestant, site, turn)


def _report(ours: Result, docker: Result) -> list[str]:
    results = {"dig": {"ocibuild, root": ours, "docker": docker}}
    return Report([_Digging()], results, {"cores": "2"}, ["podman: not on PATH"], 3).to_markdown().splitlines()


def test_ratios_are_those_of_medians_and_targets_are_in_brackets() -> None:
    lines = _report(Result([1.0, 0.8, 9.0], 201 * _MIB, 3), Result([4.0, 1.0, 2.0], 300 * _MIB, 4))

    ours = "1.000 (1) | 0.800-9.000 | 0.50 (0.5) of docker | 201 (200, missed) | spades: 3 (3)"
    assert lines[2] == f"| dig a hole | ocibuild, root | {ours} |"
    assert lines[3] == "| dig a hole | docker | 2.000 | 1.000-4.000 |  | 300 | spades: 4 |"


def test_a_target_that_is_missed_says_so() -> None:
    lines = _report(Result([1.5], 1 * _MIB), Result([2.0], 1 * _MIB))

    assert "1.500 (1, missed)" in lines[2]
    assert "0.75 (0.5, missed) of docker" in lines[2]


def test_who_failed_has_a_reason_in_place_of_figures() -> None:
    lines = _report(Result([1.5], 1 * _MIB), Result(failure="no engine"))

    assert "| failed of docker |" in lines[2]
    assert lines[3] == "| dig a hole | docker | failed: no engine |"


def test_what_was_compared_is_said_below_the_table() -> None:
    lines = _report(Result([1.5], 1 * _MIB), Result([2.0], 1 * _MIB))

    assert "- dig a hole: docker digs with a shovel" in lines
    assert "- cores: 2" in lines
    assert "- left out: podman: not on PATH" in lines
