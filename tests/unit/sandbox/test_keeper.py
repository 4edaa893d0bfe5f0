"""Nothing of a step outlives it where there is no PID namespace, however the step, the spawner or the builder ends."""

from __future__ import annotations

import os
import resource
import signal
import stat
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import SandboxError
from ocibuild.executor import Process
from ocibuild.executor.chroot import ChrootExecutor
from ocibuild.sandbox import Folder, Spawner, StepSpec
from tests.support.containers import be_root_of_container
from tests.support.lab import LONELY, busybox, in_child, in_lab, needs_busybox, needs_root
from tests.support.processes import descendants, processes_with, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.graph import Stream
    from ocibuild.sandbox import RootTree, Running
    from tests.support.lab import Lab

FORKING = 61_234
"""A user with nothing else to do."""

pytestmark = [needs_root, needs_busybox]

# loses a daemon in a session of its own, whose parents have ended; says so, and goes on
LOSES = "setsid sh -c '(sleep 1000 &) ; sleep 1001' & sleep 0.2; echo >/ready; "


class Bench:
    """A tree, a spawner without namespaces, and steps whose processes carry a mark in their environment."""

    def __init__(self, folder: Path) -> None:
        self.mark = f"MARK-{folder}"
        self.tree = folder / "tree"
        self.tree.mkdir()
        busybox(self.tree)
        (self.tree / "bin/setsid").symlink_to("busybox")
        os.mknod(self.tree / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        (self.tree / "dev/null").chmod(0o666)
        self.spawner = Spawner.start(namespaced=False)
        self.running: list[Running] = []  # a step ends with what holds its channel

    def start(self, script: str, *, user: str = "") -> Running:
        spec = StepSpec(
            root=Folder(str(self.tree)), mounts=[], links=[], args=["/bin/sh", "-c", script],
            env=["PATH=/bin", f"MARK={self.mark}"], user=user, working_dir="/", hostname="", kept=True, bare=True,
        )  # fmt: skip
        null = os.open("/dev/null", os.O_RDWR)
        try:
            self.running.append(self.spawner.run(spec, stdin=null, stdout=null, stderr=null))
            return self.running[-1]
        finally:
            os.close(null)

    def wait_until_ready(self) -> None:
        wait_until((self.tree / "ready").exists)

    def left(self) -> list[int]:
        return processes_with(self.mark)


def at_bench(tmp_path: Path, work: Callable[[Bench], None]) -> None:
    def inside() -> None:
        be_root_of_container()
        work(Bench(tmp_path))

    in_child(inside)


def test_status_and_signals_pass_through(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        assert bench.start("exit 9").wait().exit_status == 9
        assert bench.start("kill -9 $$").wait().exit_status == 137
        running = bench.start("trap 'exit 5' TERM; echo >/ready; while :; do sleep 0.05; done")
        bench.wait_until_ready()
        running.signal(signal.SIGTERM)
        assert running.wait().exit_status == 5

    at_bench(tmp_path, work)


def test_what_a_step_lost_is_gone_when_its_end_is_told(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        running = bench.start(LOSES)
        assert running.wait().exit_status == 0
        assert bench.left() == []

    at_bench(tmp_path, work)


def test_a_closed_channel_ends_all(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        running = bench.start(LOSES + "sleep 1002")
        bench.wait_until_ready()
        assert len(bench.left()) >= 3
        running.close()
        assert bench.left() == []

    at_bench(tmp_path, work)


def test_closing_the_spawner_ends_all_before_it_returns(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        bench.start(LOSES + "sleep 1002")
        bench.wait_until_ready()
        bench.spawner.close()
        assert bench.left() == []

    at_bench(tmp_path, work)


@pytest.mark.parametrize("group", [False, True], ids=["builder", "its process group"])
def test_a_killed_builder_takes_all_with_it(tmp_path: Path, group: bool) -> None:
    builder = os.fork()
    if builder == 0:
        os.setpgid(0, 0)
        be_root_of_container()
        bench = Bench(tmp_path)
        bench.start(LOSES + "sleep 1002")
        time.sleep(1000)
    try:
        wait_until((tmp_path / "tree/ready").exists)
        assert len(processes_with(f"MARK-{tmp_path}")) >= 3
    finally:
        (os.killpg if group else os.kill)(builder, signal.SIGKILL)
        os.waitpid(builder, 0)
    wait_until(lambda: not processes_with(f"MARK-{tmp_path}"))


def test_a_killed_spawner_takes_all_with_it(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        bench.start(LOSES + "sleep 1002")
        bench.wait_until_ready()
        os.kill(bench.spawner._pid, signal.SIGKILL)
        wait_until(lambda: not bench.left())

    at_bench(tmp_path, work)


def test_what_a_killed_keeper_kept_is_ended_by_the_spawner(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        other = bench.start("while ! test -e /over; do sleep 0.05; done; exit 3")
        bench.start(LOSES + "sleep 1002")
        bench.wait_until_ready()
        os.kill(keepers(bench.spawner, bench.mark)[-1], signal.SIGKILL)
        wait_until(lambda: len(bench.left()) <= 2)  # the shell of the other, and what it just runs
        (bench.tree / "over").touch()
        assert other.wait().exit_status == 3

    at_bench(tmp_path, work)


def test_a_step_that_forks_without_end_is_ended(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        bomb = bench.tree / "tmp/bomb"
        bomb.write_text("#!/bin/sh\nsetsid /tmp/bomb & setsid /tmp/bomb & wait\n")
        bomb.chmod(0o755)
        running = bench.start("/tmp/bomb", user=f"{FORKING}:{FORKING}")
        wait_until(lambda: processes_of(FORKING) > 100)
        running.close()
        assert processes_of(FORKING) == 0

    def inside() -> None:
        resource.setrlimit(resource.RLIMIT_NPROC, (200, 200))
        be_root_of_container()
        work(Bench(tmp_path))

    in_child(inside)


def test_a_keeper_keeps_steps_in_namespaces_too(tmp_path: Path) -> None:
    """As one-ID builds need it; the first process ends with what it lost, and closing the channel ends both."""

    class Kept(ChrootExecutor):
        def _spec(self, process: Process, root: RootTree, scratch: str) -> StepSpec:
            return super()._spec(process, root, scratch)._replace(kept=True)

    def work(lab: Lab) -> None:
        lab.executor = Kept(lab.spawner, lab.identity)
        ended = lab.sh("echo $$; (sleep 1000 &); exit 6")
        assert (ended.status, ended.out) == (6, "1\n")
        # the keeper tells the end before its own; one is for the next
        wait_until(lambda: len(children(lab.spawner)) == 1)

    in_lab(tmp_path, work)


def test_what_a_killed_keeper_kept_is_ended_in_its_own_namespace_too(tmp_path: Path) -> None:
    """There /proc has other numbers, and those of other processes."""
    mark = f"MARK={tmp_path}"
    script = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"

    def work(lab: Lab) -> tuple[list[object], int]:
        ends: dict[int, object] = {}

        def run(number: int, ready: Event) -> None:
            process = Process(args=("/bin/sh", "-c", script), env=("PATH=/bin", mark))
            with lab.store.snapshots.begin() as active, lab.snapshotter.running(lab.base, active) as root:
                try:
                    outcome = lab.executor.run(process, root, active.scratch, output=lambda *_: ready.set())
                    ends[number] = outcome.exit_status
                except SandboxError as error:
                    ends[number] = error.message

        steps = []
        for number in range(2):
            ready = Event()
            steps.append(Thread(target=run, args=(number, ready)))
            steps[-1].start()
            ready.wait()
            if number == 0:
                (first,) = lab.executor._running
        os.kill(keepers(lab.spawner, mark)[-1], signal.SIGKILL)
        steps[1].join()
        first.signal(signal.SIGTERM)
        steps[0].join()
        wait_until(lambda: not processes_with(mark))
        return [ends[0], ends[1]], lab.sh("exit 7").status

    assert in_lab(tmp_path, work, uid=LONELY) == ([3, "the step's process was lost"], 7)


def test_a_signal_reaches_the_first_process_in_its_own_namespace(tmp_path: Path) -> None:
    """There its number is another than in /proc."""
    script = "trap 'exit 5' TERM; echo ready; i=0; while [ $i -lt 100 ]; do sleep 0.05; i=$((i + 1)); done"

    def work(lab: Lab) -> int:
        def output(_stream: Stream, piece: bytes) -> None:
            if piece == b"ready\n":
                (running,) = lab.executor._running
                running.signal(signal.SIGTERM)

        process = Process(args=("/bin/sh", "-c", script), env=("PATH=/bin",))
        with lab.store.snapshots.begin() as active, lab.snapshotter.running(lab.base, active) as root:
            return lab.executor.run(process, root, active.scratch, output=output).exit_status

    assert in_lab(tmp_path, work, uid=LONELY) == 5


def children(spawner: Spawner) -> list[int]:
    """Return what the spawner has forked: the keepers, and what waits for the next step."""
    pid = spawner._pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def keepers(spawner: Spawner, mark: str) -> list[int]:
    """Return the keepers of steps with a mark, in their order."""
    marked = set(processes_with(mark))
    return [child for child in children(spawner) if marked & set(descendants(child))]


def processes_of(uid: int) -> int:
    """Return how many processes a user has."""
    count = 0
    for path in Path("/proc").iterdir():
        with suppress(OSError):
            count += path.name.isdecimal() and path.stat().st_uid == uid
    return count
