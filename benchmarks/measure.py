"""Running commands: in turn, timed, and in rounds of their own with their memory watched."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.memory import Watch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.contestants import Contestant
    from benchmarks.works import Site, Work

_LONGEST_SECONDS = 600


class CommandFailed(Exception):
    """A command did not end well; the text is the last line it wrote."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, the whole of its environment, and where it is started."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str = "/"


@dataclass(slots=True)
class Result:
    """What one contestant did in one work: seconds of each timed round, the peak in bytes, or why there is none.

    ``count`` is the largest of what the work counts.
    """

    seconds: list[float] = field(default_factory=list)
    peak: int | None = None
    count: int | None = None
    failure: str | None = None


def compete(work: Work, contestants: Sequence[Contestant], site: Site, rounds: int) -> dict[str, Result]:
    """Let every contestant do the work, one after the other, in each round; the key is the contestant's name.

    The first round warms up and the last comes after the timed ones: in these two the memory is watched, so that
    watching costs nobody time. A work that is not timed is done once. Who fails is not asked again.
    """
    results = {contestant.name: Result() for contestant in contestants}
    turns = rounds + 2 if work.timed else 1
    try:
        for turn in range(turns):
            watched = turn in (0, turns - 1)
            for contestant in contestants:
                result = results[contestant.name]
                if result.failure is None:
                    _take(turn, work, contestant, site, result, watched=watched)
    finally:
        work.finish(contestants, site)
    return results


def _take(turn: int, work: Work, contestant: Contestant, site: Site, result: Result, *, watched: bool) -> None:
    try:
        command = work.prepare(contestant, site, turn)
        if watched:
            result.peak = max(result.peak or 0, run_watched(command, site.log, contestant.daemons())) or None
        else:
            result.seconds.append(run(command, site.log))
        count = work.count(site)
        result.count = count if result.count is None or count is None else max(count, result.count)
    except CommandFailed as error:
        result.failure = str(error)
    finally:
        work.clear(contestant, site)


def at_once(command: Command, processes: int) -> Command:
    """Return the command that runs this one in several processes at once, and fails where one of them does."""
    start = " ".join(f'"$@" & p{number}=$!;' for number in range(processes))
    script = f"{start} {' && '.join(f'wait $p{number}' for number in range(processes))}"
    return Command(("sh", "-c", script, "sh", *command.argv), command.env, command.cwd)


def in_sequence(first: Command, second: Command) -> Command:
    """Return the command that runs the second in the first one's environment, once that has ended well."""
    script = f"{shlex.join(first.argv)} && {shlex.join(second.argv)}"
    return Command(("sh", "-c", script), first.env, first.cwd)


def run(command: Command, log: str) -> float:
    """Run the command to its end, its output in the file ``log``; return its seconds. Raises CommandFailed.

    What others left to be written to the disk is written before.
    """
    os.sync()
    begin = time.perf_counter()
    with _start(command, log) as process:
        _finish(process, log)
        return time.perf_counter() - begin


def run_watched(command: Command, log: str, daemons: Sequence[int]) -> int:
    """Run the command likewise; return the peak memory of its process tree and of the daemons, in bytes."""
    with _start(command, log) as process, Watch(process.pid, daemons) as watch:
        _finish(process, log)
    return watch.peak


def _start(command: Command, log: str) -> subprocess.Popen[bytes]:
    with open(log, "wb") as file:
        return subprocess.Popen(
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=command.env,
            cwd=command.cwd,
            start_new_session=True,
        )


def _finish(process: subprocess.Popen[bytes], log: str) -> None:
    """Wait for the process; a timer ends it that takes too long, for a wait with a timeout polls every 50 ms."""
    timer = threading.Timer(_LONGEST_SECONDS, _kill, (process,))
    timer.start()
    try:
        status = process.wait()
    except BaseException:
        _kill(process)
        raise
    finally:
        timer.cancel()
    if status != 0:
        raise CommandFailed(_last_line(log) or f"exit status {status}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _last_line(log: str) -> str:
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()]
    return lines[-1] if lines else ""
