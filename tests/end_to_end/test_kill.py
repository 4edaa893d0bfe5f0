"""A build that is killed or interrupted: nothing of it stays on the machine, and the store is as good as before."""

from __future__ import annotations

import os
import random
import secrets
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import descendants, kill_all, mounts_below, processes_with, wait_until
from tests.support.program import Built
from tests.support.trees import read_archive

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.support.program import Program

MOMENTS = 15
STEPS = """\
FROM {base}
RUN sleep 0.2 && seq 50000 > /first
COPY . /files/
RUN sleep 300 & sleep 0.2 && cp /first /second && mkdir /d && seq 50000 > /d/third
RUN rm /second && cat /files/* > /all
"""


def _context(program: Program, base: str) -> Path:
    files: dict[str, str | bytes] = {f"file{n}": random.Random(n).randbytes(200_000) for n in range(10)}
    return program.context("killed", {"Dockerfile": STEPS.format(base=base), **files})


def _start(program: Program, mark: str, *words: str | Path) -> subprocess.Popen[str]:
    return program.user.start("ocibuild", "build", "--progress", "plain", *words, environ={"OCIBUILD_TEST_MARK": mark})


def _end(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=30)
    return process.returncode, output


def test_store_survives_sigkill_at_any_moment(ocibuild: Program, busybox_base: str) -> None:
    """Builds on three stores, five killed on each, one after another: the builder alone, then its whole tree."""
    context = _context(ocibuild, busybox_base)
    archive = ocibuild.user.home / "image.tar"
    begun = time.monotonic()
    ocibuild.build(context, "-o", f"type=oci,dest={archive}", root=ocibuild.user.home / "reference")
    whole, expected = time.monotonic() - begun, read_archive(archive).tree
    moments = random.Random(11)
    for store in (ocibuild.user.home / f"store{number}" for number in range(MOMENTS // 5)):
        done: set[str] = set()
        for number in range(5):
            done |= _killed(ocibuild, store, context, after=moments.uniform(0.05, whole), whole_tree=number % 2 == 1)
        built = ocibuild.build(context, "-t", "end", "-o", f"type=oci,dest={archive}", root=store)
        assert done <= set(built.cached())
        assert read_archive(archive).tree == expected
        assert ocibuild.run("--root", store, "validate", "end").returncode == 0
        assert not list((store / "ingest").iterdir())
        assert not list((store / "snapshots").glob("*/scratch"))


def test_trees_of_killed_builds_are_removed_by_the_next(ocibuild: Program, busybox_base: str) -> None:
    context, copying = _context(ocibuild, busybox_base), ("--snapshotter", "copy")
    archive, store = ocibuild.user.home / "image.tar", ocibuild.user.home / "store"
    begun = time.monotonic()
    ocibuild.build(context, "-o", f"type=oci,dest={archive}", root=ocibuild.user.home / "reference")
    whole, expected = time.monotonic() - begun, read_archive(archive).tree
    left: set[str] = set()
    for number in range(5):
        after = whole * (number + 1) / 5
        _killed(ocibuild, store, context, *copying, after=after, whole_tree=number % 2 == 1)
        left |= {path.name for path in (store / "trees").glob("*")}
    built = ocibuild.build(context, *copying, "-t", "end", "-o", f"type=oci,dest={archive}", root=store)
    assert built.status == 0
    assert left
    assert not list((store / "trees").iterdir())
    assert read_archive(archive).tree == expected


def _killed(program: Program, store: Path, context: Path, *options: str, after: float, whole_tree: bool) -> set[str]:
    """Kill a build after some seconds, see that nothing of it stays, and return the steps that it said were done."""
    mark = secrets.token_hex(8)
    process = program.user.start(
        "ocibuild", "--root", store, "build", "--progress", "plain", *options, context,
        environ={"OCIBUILD_TEST_MARK": mark},
    )  # fmt: skip
    time.sleep(after)
    kill_all(descendants(process.pid) if whole_tree else [process.pid])
    _, output = _end(process)
    wait_until(lambda: not processes_with(mark))
    assert not mounts_below(program.user.home)
    return _done(output)


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
