from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from ocibuild.errors import SandboxError
from ocibuild.executor.probe.trial import Refused, Trial, attempt


def _raise(error: BaseException) -> str:
    raise error


@pytest.mark.parametrize(
    ("error", "seen", "remedy"),
    [
        (OSError(28, "No space left on device", "/x"), "No space left on device", ""),
        (SandboxError("refused here", remedy="ask"), "refused here", "ask"),
        (Refused("made, and useless"), "made, and useless", ""),
        (KeyError("x"), "a fault of ocibuild's own, please report it: KeyError('x')", ""),
    ],
    ids=["kernel", "ours", "seen", "bug"],
)
def test_what_is_raised_is_evidence(error: Exception, seen: str, remedy: str) -> None:
    assert attempt(lambda: _raise(error)) == Trial(passed=False, seen=seen, remedy=remedy)


def test_what_works_says_what_was_seen() -> None:
    assert attempt(lambda: "all is well") == Trial(passed=True, seen="all is well")


def test_trial_that_kills_its_process_is_a_refusal() -> None:
    def die() -> str:
        os.kill(os.getpid(), signal.SIGSYS)
        return ""

    assert attempt(die) == Trial(passed=False, seen="the process was killed: Bad system call")


def test_trial_without_an_answer_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    note = tmp_path / "pid"

    def hang() -> str:
        child = os.fork()
        if child == 0:
            time.sleep(600)
            os._exit(0)
        note.write_text(str(child))
        time.sleep(600)
        return ""

    assert attempt(hang, seconds=1) == Trial(passed=False, seen="no answer within 1 seconds")
    # it is killed; whoever took it up may not yet have buried it
    while _state(int(note.read_text())) not in {None, "Z", "X"}:
        time.sleep(0.01)


def _state(pid: int) -> str | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()[0]


def test_trial_changes_nothing_of_this_process(tmp_path: Path) -> None:
    def move() -> str:
        os.chdir(tmp_path)
        return os.getcwd()

    before = Path.cwd()
    assert attempt(move).seen == str(tmp_path)
    assert Path.cwd() == before
