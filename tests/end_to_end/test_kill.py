"""A build that is killed or interrupted: nothing of it stays on the machine, and the store is as good as before."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import descendants, kill_all, mounts_below, processes_with, wait_until
from tests.support.program import ROWS, Built
from tests.support.trees import read_archive

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.support.program import Program
    from tests.support.trees import Tree

KILLS = 70  # in each of three rows
ON_ONE_STORE = 7
VICTIMS = ("builder", "spawner", "all")
# each process of a step has the token in its command line
STEPS = """\
FROM {base}
RUN : {token} && seq 20000 > /first
COPY . /files/
RUN sleep {token} & : {token} && cp /first /second && mkdir /d && seq 20000 > /d/third && sleep 0.1
RUN : {token} && rm /second && cat /files/* > /all
"""


@pytest.fixture(params=ROWS)
def killed(request: pytest.FixtureRequest) -> Iterator[Program]:
    with ROWS[request.param]() as program:
        yield program


@dataclass(frozen=True, slots=True)
class Whole:
    """A build that nobody killed: how long it took, in seconds, and the tree that it gave in ``archive``."""

    program: Program
    context: Path
    token: str
    archive: Path
    seconds: float
    tree: Tree

    @classmethod
    def measure(cls, program: Program, base: str) -> Whole:
        """Build on a store of its own."""
        token, archive = str(10**8 + secrets.randbelow(10**8)), program.user.home / "image.tar"
        files: dict[str, str | bytes] = {f"file{n}": random.Random(n).randbytes(200_000) for n in range(5)}
        context = program.context("killed", {"Dockerfile": STEPS.format(base=base, token=token), **files})
        begun = time.monotonic()
        program.build(context, "-o", f"type=oci,dest={archive}", root=program.user.home / "reference")
        return cls(program, context, token, archive, time.monotonic() - begun, read_archive(archive).tree)

    def again(self, *words: str, root: Path) -> Built:
        """Build it on a store that was left by killed ones, and see that it gives the same."""
        built = self.program.build(self.context, *words, "-t", "end", *self.words, root=root)
        assert read_archive(self.archive).tree == self.tree
        return built

    @property
    def words(self) -> tuple[str, str]:
        return "-o", f"type=oci,dest={self.archive}"

    def kill(self, victim: str, *words: str, wait: Callable[[], object], root: Path) -> set[str]:
        """Kill a build after ``wait``, see that nothing of it stays; return the steps that it said were done."""
        mark = secrets.token_hex(8)
        words = ("--progress", "plain", *self.words, *words)
        process = self.program.user.start(
            "ocibuild", "--root", root, "build", *words, self.context, environ={"OCIBUILD_TEST_MARK": mark}
        )
        wait()
        kill_all(_victims(process.pid, victim))
        status, output = _end(process)
        assert status in ((0, 1) if victim == "spawner" else (0, -signal.SIGKILL)), output
        assert "Traceback" not in output
        assert len([line for line in output.splitlines() if line.startswith("ocibuild")]) == (status == 1), output
        wait_until(lambda: not processes_with(mark) and not processes_with(self.token))
        assert not mounts_below(self.program.user.home)
        assert not _locks_of(root)
        assert _is_sound(root / "ocibuild.db")
        return _done(output)


def _victims(pid: int, victim: str) -> list[int]:
    """Return what to kill; while there is no spawner yet, the builder takes its place."""
    match victim:
        case "all":
            return descendants(pid)
        case "spawner":
            return [one for one in descendants(pid) if _is_first_of_namespace(one)][:1]
        case _:
            return [pid]


def _is_first_of_namespace(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[2:] == ["1"]


def _locks_of(store: Path) -> list[str]:
    """Return the locks that anybody holds on files of a store."""
    inodes = {str(path.stat().st_ino) for path in [*store.glob("*"), *store.glob("ingest/*")]}
    lines = Path("/proc/locks").read_text().splitlines()
    return [line for line in lines if line.split()[-3].rpartition(":")[2] in inodes]


def _is_sound(database: Path) -> bool:
    """Look at a copy: who opens a database changes files beside it."""
    if not database.exists():
        return True
    copy = database.parents[1] / "database"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in database.parent.glob("ocibuild.db*"):
        shutil.copy(path, copy)
    with closing(sqlite3.connect(copy / database.name)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def _start(program: Program, mark: str, *words: str | Path) -> subprocess.Popen[str]:
    return program.user.start("ocibuild", "build", "--progress", "plain", *words, environ={"OCIBUILD_TEST_MARK": mark})


def _end(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=30)
    return process.returncode, output


def test_store_survives_sigkill_at_any_moment(killed: Program, busybox_base: str) -> None:
    """Builds killed at moments spread over the whole of one: the builder, its spawner, or all that it has started.

    Several on each store, with the cache and without, so that each phase is met on stores that have something.
    """
    seed = int(os.environ.get("OCIBUILD_TEST_SEED") or secrets.randbits(32))
    sys.stdout.write(f"OCIBUILD_TEST_SEED={seed}\n")
    chance = random.Random(seed)
    whole = Whole.measure(killed, busybox_base)
    moments = [whole.seconds * (number + chance.random()) / KILLS for number in range(KILLS)]
    chance.shuffle(moments)
    for number in range(0, KILLS, ON_ONE_STORE):
        store = killed.user.home / f"store{number}"
        done: set[str] = set()
        for moment in moments[number : number + ON_ONE_STORE]:
            anew = ("--no-cache",) if chance.random() < 0.5 else ()
            done |= whole.kill(chance.choice(VICTIMS), *anew, wait=partial(time.sleep, moment), root=store)
        built = whole.again(root=store)
        assert done <= set(built.cached())
        assert killed.run("--root", store, "validate", "end").returncode == 0
        if not built.ran():  # who needs no snapshot clears none away
            killed.build(whole.context, "--no-cache", root=store)
        assert not list((store / "ingest").iterdir())
        assert not list((store / "scratch").iterdir())


def test_trees_of_killed_builds_are_removed_by_the_next(ocibuild: Program, busybox_base: str) -> None:
    copying, store = ("--snapshotter", "copy"), ocibuild.user.home / "store"
    trees = store / "trees"
    whole = Whole.measure(ocibuild, busybox_base)
    whole.kill("builder", *copying, wait=lambda: wait_until(lambda: any(trees.glob("*"))), root=store)
    assert list(trees.iterdir())
    for number in range(4):
        wait = partial(time.sleep, whole.seconds * (number + 1) / 4)
        whole.kill(VICTIMS[number % 3], *copying, wait=wait, root=store)
    built = whole.again(*copying, root=store)
    if not built.ran():  # who makes nothing clears no trees away
        ocibuild.build(whole.context, "--no-cache", *copying, root=store)
    assert not list(trees.iterdir())


def test_what_a_killed_build_left_of_other_ids_stops_no_build_that_has_one(
    ocibuild: Program, busybox_base: str
) -> None:
    """A build with a range of IDs leaves files that proot may not remove: they stay for one that has the range."""
    text = f"FROM {busybox_base}\nRUN mkdir -m 700 /d && touch /d/f && chown -R 1234 /d && {{}}\n"
    sleeping = ocibuild.context("sleeping", {"Dockerfile": text.format("sleep 4323")})
    awake = ocibuild.context("awake", {"Dockerfile": text.format("true")})
    process = ocibuild.start("build", "--progress", "plain", "--snapshotter", "copy", sleeping)
    wait_until(lambda: _runs_below(process.pid, b"sleep\x004323"))
    process.kill()
    _end(process)
    ocibuild.build(awake, "--executor", "proot")
    assert bool(list((ocibuild.store / "trees").iterdir())) == (ocibuild.user.account.uid != 0)
    ocibuild.build(awake, "--snapshotter", "copy", "--no-cache")
    assert not list((ocibuild.store / "trees").iterdir())
    assert not list((ocibuild.store / "scratch").iterdir())


def _done(output: str) -> set[str]:
    """Return the labels of the steps that a build said were done."""
    steps = Built(0, "", output).steps
    return {label for label, outcome in steps.items() if outcome in ("DONE", "CACHED") and "internal" not in label}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_signal_stops_the_step_and_cleans_up(ocibuild: Program, busybox_base: str, number: signal.Signals) -> None:
    text = f"FROM {busybox_base}\nRUN echo before > /before\nRUN sleep 1000 & sleep 1001\n"
    context = ocibuild.context("interrupted", {"Dockerfile": text})
    mark = secrets.token_hex(8)
    process = _start(ocibuild, mark, context)
    wait_until(lambda: _runs_below(process.pid, b"sleep\x001001"))
    begun = time.monotonic()
    os.killpg(process.pid, number)
    status, output = _end(process)
    assert time.monotonic() - begun < 5
    assert status == (130 if number == signal.SIGINT else 143)
    assert "Traceback" not in output
    if number == signal.SIGINT:
        assert output.rstrip().splitlines()[-1].startswith("ocibuild: interrupted")
    wait_until(lambda: not processes_with(mark))
    assert not mounts_below(ocibuild.user.home)
    context = ocibuild.context("interrupted", {"Dockerfile": text.replace("RUN sleep 1000 & sleep 1001", "RUN true")})
    assert ocibuild.build(context).cached("RUN") == ["[2/3] RUN echo before > /before"]


def _runs_below(pid: int, command: bytes) -> bool:
    for one in descendants(pid):
        try:
            with open(f"/proc/{one}/cmdline", "rb") as file:
                if command in file.read():
                    return True
        except OSError:
            continue
    return False


def test_interrupt_during_a_pull_cleans_up(ocibuild: Program, debian_base: str) -> None:
    context = ocibuild.context("pulled", {"Dockerfile": f"FROM {debian_base}\nRUN true\n"})
    mark = secrets.token_hex(8)
    process = _start(ocibuild, mark, context)
    ingest = ocibuild.store / "ingest"
    wait_until(lambda: ingest.exists() and any(ingest.iterdir()))
    os.killpg(process.pid, signal.SIGINT)
    status, output = _end(process)
    assert status == 130, output
    assert "Traceback" not in output
    assert not processes_with(mark)
    assert not any(ingest.iterdir())
    ocibuild.build(context)


def test_process_left_by_a_step_dies_with_it(ocibuild: Program, busybox_base: str) -> None:
    """A daemon that a RUN leaves, even one in a session of its own, is not there for the next step, nor after."""
    text = f"""\
FROM {busybox_base}
RUN setsid sleep 4321 > /dev/null 2>&1 & sleep 0.1; ps | grep -q 'sleep 432[1]'
RUN ! ps | grep 'sleep 432[1]'
"""
    begun = time.monotonic()
    ocibuild.build(ocibuild.context("left", {"Dockerfile": text}))
    assert time.monotonic() - begun < 20
    assert not processes_with("sleep\x004321")


def test_step_that_keeps_its_output_open_does_not_hang_the_build(ocibuild: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nRUN sleep 4322 & echo started\n"
    built = ocibuild.build(ocibuild.context("open", {"Dockerfile": text}))
    assert "started" in built.output
    assert not processes_with("sleep\x004322")


def test_two_builds_on_one_store_at_the_same_time(ocibuild: Program, busybox_base: str) -> None:
    """The same build twice: each step runs once, and both end with the same image."""
    text = f"FROM {busybox_base}\nRUN sleep 1 && cat /proc/sys/kernel/random/uuid > /once\nRUN sleep 0.5 && cat /once\n"
    context = ocibuild.context("twice", {"Dockerfile": text})
    processes = [ocibuild.start("build", "-q", context) for _ in range(2)]
    ended = [_end(process) for process in processes]
    assert [status for status, _ in ended] == [0, 0], ended
    assert ended[0][1] == ended[1][1]
