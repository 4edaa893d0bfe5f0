from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.contestants import Contestant
from benchmarks.measure import Command, CommandFailed, compete, in_sequence, run
from benchmarks.registry import Registry
from benchmarks.works import Site, Targets, Work

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def _shell(script: str, **environment: str) -> Command:
    return Command(("sh", "-c", script), {"PATH": "/usr/bin:/bin", **environment})


class _One(Contestant):
    def __init__(self, name: str) -> None:
        self.name = name

    def version(self) -> str:
        return "1"

    def empty(self) -> None: ...


class _Noting(Work):
    name = title = "note"
    targets = Targets()
    ours = ("a", "b")

    def __init__(self) -> None:
        self.notes: list[str] = []

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:
        self.notes.append(f"{contestant.name}{turn}")
        return _shell("exit 3" if contestant.name == "b" else "true")

    def finish(self, contestants: Sequence[Contestant], site: Site) -> None:
        self.notes.append(f"finish {' '.join(one.name for one in contestants)}")


def test_the_second_command_runs_after_the_first_and_both_keep_their_words(tmp_path: Path) -> None:
    first, second = _shell('echo "$A" "$1  $2"', A="a b"), _shell("echo second")
    first = Command((*first.argv, "sh", "x y", "'z'"), first.env)

    run(in_sequence(first, second), str(tmp_path / "log"))

    assert (tmp_path / "log").read_text() == "a b x y  'z'\nsecond\n"


def test_the_second_command_does_not_run_where_the_first_failed(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"^first$"):
        run(in_sequence(_shell("echo first; false"), _shell("echo second")), str(tmp_path / "log"))


def test_contestants_take_turns_and_what_is_left_is_given_back_at_last_also_of_those_that_failed(
    tmp_path: Path,
) -> None:
    nowhere = Registry("127.0.0.1:1", "none", str(tmp_path))
    work = _Noting()

    results = compete(work, [_One("a"), _One("b")], Site(nowhere, nowhere, str(tmp_path)), 2)

    assert work.notes == ["a0", "b0", "a1", "a2", "a3", "finish a b"]
    assert len(results["a"].seconds) == 2
    assert results["b"].failure == "exit status 3"
