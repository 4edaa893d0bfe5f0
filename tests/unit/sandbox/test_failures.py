from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import CannotStart, Interrupted, SandboxError
from ocibuild.executor import Connection, Process
from ocibuild.sandbox import Spawner
from tests.support.lab import Ended, Lab, in_child, in_lab, lab, needs_busybox, needs_root

if TYPE_CHECKING:
    from pathlib import Path

    from ocibuild.sandbox import RootTree

pytestmark = [needs_root, needs_busybox]


def _attempt(made: Lab, *args: str, **settings: object) -> str:
    try:
        return f"no error, but {made.run(*args, **settings)}"  # type: ignore[arg-type]
    except SandboxError as error:
        return error.message


FAILURES = {
    "missing": (("/bin/nothing",), {}, "/bin/nothing: No such file or directory"),
    "not-on-the-path": (("nothing",), {}, "nothing: executable file not found in $PATH"),
    "empty-name": (("",), {}, ": executable file not found in $PATH"),
    "no-words": ((), {}, "there is no command to run"),
    "not-executable": (("/etc/passwd",), {}, "/etc/passwd: Permission denied"),
    "directory": (("/etc",), {}, "/etc: Is a directory"),
    "no-program-at-all": (("/plain",), {}, "/plain: Exec format error"),
    "interpreter-missing": (("/script",), {}, "/bin/perl: No such file or directory"),
    "linker-missing": (("/dynamic",), {}, "/dynamic: its dynamic linker is not in the image"),
    "no-directory": (("true",), {"working_dir": "/plain/x"}, "working directory /plain/x: Not a directory"),
    "directory-is-a-file": (("true",), {"working_dir": "/plain"}, "working directory /plain: Not a directory"),
    "unknown-user": (("true",), {"user": "nobody"}, "user 'nobody': not in the image's /etc/passwd"),
    "huge-environment": (
        ("true",),
        {"env": ("PATH=/bin", "A=" + "x" * (4 << 20))},
        "/bin/true: Argument list too long",
    ),
    "nul": (("true", "a\0b"), {}, "the command or its environment cannot be given to a process: embedded null byte"),
    "long-host-name": (("true",), {"hostname": "h" * 65}, f"host name {'h' * 65!r}: Invalid argument"),
}


@pytest.mark.parametrize(("args", "settings", "message"), FAILURES.values(), ids=FAILURES)
def test_what_cannot_be_started_gives_one_clear_error(
    args: tuple[str, ...], settings: dict[str, object], message: str, tmp_path: Path
) -> None:
    def fill(folder: Path) -> None:
        for name, text in (("plain", b"neither"), ("script", b"#!/bin/perl -w\n")):
            (folder / name).write_bytes(text)
            (folder / name).chmod(0o755)
        with open("/bin/sh", "rb") as file:
            (folder / "dynamic").write_bytes(file.read())
        (folder / "dynamic").chmod(0o755)

    def work(made: Lab) -> tuple[str, int]:
        stack = [*made.base, made.snapshot(fill)]
        return _attempt(made, *args, stack=stack, **settings), made.sh("true").status

    assert in_lab(tmp_path, work) == (message, 0)


REMEDIES = {
    "/etc/passwd": "make it executable, as COPY --chmod=755 does",
    "/plain": "it is for another processor, or a script without a line such as #!/bin/sh at its top",
}


@pytest.mark.parametrize(("program", "remedy"), REMEDIES.items(), ids=REMEDIES)
def test_what_cannot_be_run_comes_with_what_to_do(program: str, remedy: str, tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "plain").write_bytes(b"neither")
        (folder / "plain").chmod(0o755)

    def work(made: Lab) -> tuple[str | None, int]:
        try:
            made.run(program, stack=[*made.base, made.snapshot(fill)])
        except CannotStart as error:
            return error.remedy, error.exit_status
        return None, 0

    assert in_lab(tmp_path, work) == (remedy, 126)


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 7", 7),
        ("sh -c 'kill -9 $$'; exit $?", 137),
        ("sh -c 'kill -15 $$'; exit $?", 143),
        ("true", 0),
        ("nothing", 127),
    ],
)
def test_status_is_as_a_shell_shows_it(script: str, status: int, tmp_path: Path) -> None:
    assert in_lab(tmp_path, lambda made: made.sh(script).status) == status


def test_output_comes_in_order_and_whole(tmp_path: Path) -> None:
    def work(made: Lab) -> Ended:
        return made.sh("for n in 1 2 3; do echo $n; done; yes | head -c 300000; echo end >&2")

    ended = in_lab(tmp_path, work)
    assert ended.out == "1\n2\n3\n" + "y\n" * 150_000
    assert ended.err == "end\n"


def test_processes_left_over_die_with_the_step(tmp_path: Path) -> None:
    def work(made: Lab) -> tuple[float, bytes]:
        begun = time.monotonic()
        made.sh("sleep 765432 & sleep 765432 & true")
        return time.monotonic() - begun, subprocess.run(
            ["pgrep", "-f", "^sleep 765432"], capture_output=True, check=False
        ).stdout

    elapsed, left = in_lab(tmp_path, work)
    assert elapsed < 30
    assert left == b""


def test_error_in_the_readers_callback_ends_the_step_before_it_is_raised(tmp_path: Path) -> None:
    def work(made: Lab) -> bool:
        def fail(*_: object) -> None:
            raise KeyError("reader")

        process = Process(("/bin/sh", "-c", "echo; while :; do echo >> /tmp/file; done"), ("PATH=/bin",))
        with made.store.snapshots.begin() as active:
            with pytest.raises(KeyError, match="reader"), made.snapshotter.running(made.base, active) as root:
                made.executor.run(process, root, active.scratch, output=fail)
            path = os.path.join(active.upper, "tmp/file")
            size = os.path.getsize(path) if os.path.exists(path) else 0
            time.sleep(0.1)
            return (os.path.getsize(path) if os.path.exists(path) else 0) == size

    assert in_lab(tmp_path, work)


def test_stop_ends_what_runs_and_lets_nothing_begin(tmp_path: Path) -> None:
    def work(made: Lab) -> list[str]:
        threading.Timer(0.3, made.executor.stop).start()
        ends = []
        for script in ("sleep 1000", "true"):
            with pytest.raises(Interrupted) as caught:
                made.sh(script)
            ends.append(caught.value.message)
        return ends

    assert in_lab(tmp_path, work) == ["interrupted", "interrupted"]


def test_eight_steps_run_at_once(tmp_path: Path) -> None:
    def work(made: Lab) -> list[str]:
        results: dict[int, str] = {}
        threads = [
            threading.Thread(target=lambda n=n: results.update({n: made.sh(f"sleep 0.2; echo {n}; echo {n} > /f").out}))
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [results[n] for n in range(8)]

    assert in_lab(tmp_path, work) == [f"{n}\n" for n in range(8)]


def test_no_descriptor_is_left_after_many_steps(tmp_path: Path) -> None:
    def work(made: Lab) -> tuple[tuple[str, ...], tuple[str, ...]]:
        def listing() -> tuple[str, ...]:
            made.rest()
            places = ("self", str(made.spawner._pid))
            return tuple(" ".join(sorted(os.listdir(f"/proc/{place}/fd"), key=int)) for place in places)

        made.sh("true")
        before = listing()
        for n in range(40):
            match n % 4:
                case 0:
                    made.sh("true")
                case 1:
                    _attempt(made, "/none")
                case 2:
                    _attempt(made, "true", user="none")
                case 3:
                    made.sh("exit 1", connection=Connection.NONE)
        made.sh("true")
        return before, listing()

    before, after = in_lab(tmp_path, work)
    assert before[0] == after[0]
    assert len(before[1].split()) == len(after[1].split())


def test_steps_beyond_the_descriptors_of_the_spawner_fail_alone(tmp_path: Path) -> None:
    def inside() -> list[str]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 4096))
        with lab(tmp_path / "store") as made:
            resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
            results: list[str] = []

            def run() -> None:
                try:
                    results.append(str(made.sh("sleep 2").status))
                except SandboxError as error:
                    results.append(error.message)

            threads = [threading.Thread(target=run) for _ in range(60)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return [*sorted(set(results)), str(made.sh("true").status)]

    *results, last = in_child(inside)
    assert "0" in results
    assert len(results) > 1
    assert all(result == "0" or result.endswith(("Too many open files", "process was lost")) for result in results)
    assert last == "0"


def test_death_of_the_spawner_ends_steps_with_an_error_and_further_ones_cannot_begin(tmp_path: Path) -> None:
    def work(made: Lab) -> tuple[str, str]:
        threading.Timer(0.3, lambda: os.kill(made.spawner._pid, signal.SIGKILL)).start()
        return _attempt(made, "sleep", "1000"), _attempt(made, "true")

    assert in_lab(tmp_path, work) == ("the step's process was lost", "a step cannot be started: Broken pipe")


def test_death_of_the_builder_ends_everything(tmp_path: Path) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with lab(tmp_path / "store") as made:
            os.dup2(write, 2, inheritable=True)
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
            made.executor.run_attached(*_sleeping(made))
    os.close(write)
    os.waitpid(child, 0)
    # the step holds the other end: it comes to its end when the step does
    with open(read, "rb") as file:
        assert file.read() == b"begun\n"


def _sleeping(made: Lab) -> tuple[Process, RootTree, str]:
    active = made.store.snapshots.begin()
    process = Process(("/bin/sh", "-c", "echo begun >&2; sleep 1000"), ("PATH=/bin",))
    return process, made.snapshotter.running(made.base, active).__enter__(), active.scratch


def test_no_descriptor_of_ours_becomes_a_standard_stream() -> None:
    def work() -> int:
        for fd in (0, 1, 2):
            os.close(fd)
        spawner = Spawner.start()
        number = spawner._control.fileno()
        spawner.close()
        return number

    assert in_child(work) > 2
