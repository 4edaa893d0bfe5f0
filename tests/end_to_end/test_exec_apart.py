"""``exec`` without namespaces: a step of its own in the container's tree, under proot and in a bare chroot."""

from __future__ import annotations

import secrets
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.test_exec import TEXT
from tests.support.processes import processes_with, wait_until
from tests.support.program import ROWS, Program
from tests.support.screen import on_a_terminal

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping

_COMMAND = 'CMD ["sh", "-c", "until [ -e /end ]; do sleep 0.05; done"]\n'
_REFUSE = Path(__file__).parents[1] / "rows/refuse.py"


@dataclass(frozen=True, slots=True)
class InContainer(Program):
    """ocibuild where neither namespaces nor mounts are allowed, as in a container by default."""

    def run(
        self, *words: str | Path, environ: Mapping[str, str] | None = None, stdin: str = "", timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """See Program."""
        return self.user.run(*_refusing(), *words, environ=environ, stdin=stdin, timeout=timeout)

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """See Program."""
        return self.user.start(*_refusing(), *words)


def _refusing() -> tuple[str | Path, ...]:
    return sys.executable, _REFUSE, "ocibuild"


@dataclass(frozen=True, slots=True)
class Apart:
    """A program, and how it runs containers."""

    program: Program
    executor: str

    def begin(self, name: str, *words: str) -> str:
        """Run a container in the background, and return its name."""
        self.program.check("run", "-d", "--executor", self.executor, "--name", name, "-e", "GIVEN=run", "image", *words)
        return name

    def end(self, name: str) -> str:
        """Have a container end on its own, and return its status; what tells it to may end with it."""
        self.program.run("exec", name, "touch", "/end")
        return self.program.check("wait", name)


@pytest.fixture(scope="module", params=[*ROWS, "bare"])
def apart(request: pytest.FixtureRequest, busybox_base: str) -> Iterator[Apart]:
    """Under proot as everybody, and in a bare chroot as root."""
    is_bare = request.param == "bare"
    with ROWS["root" if is_bare else request.param]() as program:
        program.build(
            program.context("image", {"Dockerfile": TEXT.format(base=busybox_base) + _COMMAND}), "-t", "image"
        )
        yield Apart(InContainer(program.user), "chroot") if is_bare else Apart(program, "proot")


@pytest.fixture
def running(apart: Apart) -> Iterator[str]:
    """The name of a container that runs until there is a file /end."""
    name = apart.begin(f"apart-{secrets.token_hex(4)}")
    yield name
    apart.program.check("rm", "--force", name)


def test_it_is_in_the_containers_tree(apart: Apart, running: str) -> None:
    program = apart.program
    program.check("exec", running, "sh", "-c", "echo made > file; mkdir /deep; chown other /deep")
    assert program.check("exec", running, "sh", "-c", "cat /there/file; stat -c %u /deep") == "made\n5\n"
    assert apart.end(running) == "0\n"
    changed = [line for line in program.check("diff", running).splitlines() if line not in ("A /proc", "A /sys")]
    assert changed == ["A /deep", "A /end", "C /there", "A /there/file"]


def test_settings_are_the_containers_unless_given(apart: Apart, running: str) -> None:
    script = "echo $WHO $GIVEN $MORE; pwd; id -u; echo $HOME"
    check = apart.program.check
    assert check("exec", running, "sh", "-c", script) == "image run\n/there\n0\n/root\n"
    options = ("-e", "WHO=exec", "-e", "MORE=too", "-w", "/home", "-u", "other")
    assert check("exec", *options, running, "sh", "-c", script) == "exec run too\n/home\n5\n/home/other\n"
    assert check("exec", running, "sh", "-c", script) == "image run\n/there\n0\n/root\n"


def test_input_output_and_status_are_its_own(apart: Apart, running: str) -> None:
    program = apart.program
    result = program.run("exec", "-i", running, "sh", "-c", "cat; echo wrong >&2; exit 7", stdin="typed\n")
    assert (result.returncode, result.stdout, result.stderr) == (7, "typed\n", "wrong\n")
    assert program.run("exec", running, "cat", stdin="not connected").stdout == ""
    result = program.run("exec", "-w", "/typo", running, "true")
    assert (result.returncode, "working directory /typo: No such file" in result.stderr) == (127, True), result.stderr
    assert "typo" not in program.check("exec", running, "ls", "/")
    result = program.run("exec", running, "absent")
    assert (result.returncode, result.stderr.partition(" (")[0]) == (
        127, "ocibuild: absent: executable file not found in $PATH",
    )  # fmt: skip
    assert "nobody" in program.run("exec", "-u", "nobody-there", running, "true").stderr
    assert program.check("exec", running, "echo", "still there") == "still there\n"
    assert program.check("logs", running) == ""


def test_it_ends_with_the_container(apart: Apart, running: str) -> None:
    """Before what was put into the tree for the container's time is taken out again."""
    token = _begin_sleeping(apart, running)
    assert apart.end(running) == "0\n"
    assert processes_with(f"sleep\0{token}\0") == []


def test_what_it_leaves_behind_goes_on_until_the_container_ends(apart: Apart, running: str) -> None:
    """Under proot it ends at once: proot, which it needs, would hold our output open."""
    tokens = [f"7{secrets.randbelow(10**8):08}" for _ in range(2)]
    script = f"sleep {tokens[0]} > /dev/null 2>&1 & setsid sleep {tokens[1]} > /dev/null 2>&1 & sleep 0.2; exit 3"
    assert apart.program.run("exec", running, "sh", "-c", script).returncode == 3
    assert apart.program.check("exec", running, "echo", "next") == "next\n"
    left = [bool(processes_with(f"sleep\0{token}\0")) for token in tokens]
    assert left == [apart.executor == "chroot"] * 2
    assert apart.end(running) == "0\n"
    assert [processes_with(f"sleep\0{token}\0") for token in tokens] == [[], []]


def test_what_the_container_has_changed_counts(apart: Apart, running: str) -> None:
    """Its users and programs are those that are there when the process begins."""
    check = apart.program.check
    assert check("exec", "-u", "other", running, "id", "-u") == "5\n"
    script = "mv /etc /old && mkdir /etc && echo new:x:8:9::/:/bin/sh > /etc/passwd && mkdir /new && cp -r /bin/. /new/"
    check("exec", running, "sh", "-c", script)
    assert check("exec", "-u", "new", running, "id", "-u") == "8\n"
    result = apart.program.run("exec", "-u", "other", running, "true")
    assert (result.returncode != 0, "other" in result.stderr) == (True, True)


def test_in_the_background_what_cannot_be_started_says_so(apart: Apart, running: str) -> None:
    for name, status in (("absent", 127), ("/bin/absent", 127), ("/etc/passwd", 126)):
        for detach in ((), ("-d",)):
            result = apart.program.run("exec", *detach, running, name)
            assert (result.returncode, result.stderr.startswith(f"ocibuild: {name}: ")) == (status, True), result.stderr


def test_nothing_of_it_stays_in_the_tree(apart: Apart, running: str) -> None:
    devices = apart.program.check("exec", running, "ls", "/dev")
    for _ in range(3):
        assert apart.program.check("exec", running, "echo", "well") == "well\n"
    assert len(apart.program.check("exec", running, "ls", "/dev").split()) == len(devices.split())


def test_it_ends_with_a_container_that_is_killed(apart: Apart, running: str) -> None:
    token = _begin_sleeping(apart, running)
    apart.program.check("kill", running)
    wait_until(lambda: not processes_with(f"sleep\0{token}\0"), seconds=30)
    result = apart.program.run("exec", running, "true")
    assert (result.returncode, result.stderr) == (
        1, f"ocibuild: {running}: the container does not run (run it with `ocibuild run -d`)\n",
    )  # fmt: skip


def test_who_is_killed_takes_its_process_along(apart: Apart, running: str) -> None:
    token = f"5{secrets.randbelow(10**8):08}"
    process = apart.program.start("exec", running, "sh", "-c", f"sleep {token} & wait")
    wait_until(lambda: bool(processes_with(f"sleep\0{token}\0")), seconds=30)
    process.kill()
    process.communicate(timeout=60)
    wait_until(lambda: not processes_with(f"sleep\0{token}\0"), seconds=30)
    assert apart.program.check("exec", running, "echo", "runs") == "runs\n"


def test_signals_are_passed_on(apart: Apart, running: str) -> None:
    script = "trap 'exit 42' INT TERM; echo; while :; do sleep 0.05; done"
    process = apart.program.start("exec", running, "sh", "-c", script)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 42


def test_a_terminal(apart: Apart, running: str) -> None:
    script = "stty size; read word; echo ready $word; exit 5"
    with on_a_terminal(apart.program, "exec", "-it", running, "sh", "-c", script, rows=33, columns=77) as screen:
        screen.until(r"33 77\r\n")
        screen.type("typed\n")
        screen.until("ready typed\r\n")
        assert screen.ended() == 5


def _begin_sleeping(apart: Apart, name: str) -> str:
    """Have a process in the background in a container; return what is only in its command line."""
    token = f"6{secrets.randbelow(10**8):08}"
    apart.program.check("exec", "-d", name, "sleep", token)
    wait_until(lambda: bool(processes_with(f"sleep\0{token}\0")), seconds=30)
    return token
