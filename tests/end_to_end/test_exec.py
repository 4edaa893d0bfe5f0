"""``exec``: one more process in a container that runs, which may be hostile."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import tarfile
from typing import TYPE_CHECKING

import pytest

from ocibuild.sandbox import ProgramSpec, knock
from tests.support.processes import processes_with, wait_until
from tests.support.screen import on_a_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.program import Program

TEXT = """\
FROM {base}
RUN echo 'other:x:5:6::/home/other:/bin/sh' >> /etc/passwd && mkdir -p /home/other /there && chown 5:6 /home/other
ENV WHO=image
WORKDIR /there
CMD ["sleep", "1000"]
"""
TRAPPED = "trap 'echo interrupted; exit 5' INT; echo ready $word; while :; do sleep 0.05; done"


@pytest.fixture(scope="module")
def program(everywhere: Program, busybox_base: str) -> Program:
    everywhere.build(everywhere.context("image", {"Dockerfile": TEXT.format(base=busybox_base)}), "-t", "image")
    return everywhere


@pytest.fixture
def name(program: Program) -> Iterator[str]:
    """The name of a container, which is removed at the end."""
    name = f"exec-{secrets.token_hex(4)}"
    yield name
    program.check("rm", "--force", name)


@pytest.fixture
def running(program: Program, name: str) -> str:
    """The name of one that runs."""
    program.check("run", "-d", "--name", name, "-e", "GIVEN=run", "image")
    return name


def test_it_is_in_there_and_may_do_what_the_containers_own_process_may(program: Program, running: str) -> None:
    program.check("exec", running, "sh", "-c", "echo made > file; mkdir /deep")
    assert program.check("exec", running, "cat", "/there/file") == "made\n"
    assert program.check("diff", running).splitlines() == ["A /deep", "C /there", "A /there/file"]
    for kind in ("mnt", "pid", "ipc", "uts", "user", "net", "cgroup"):
        own, first = (program.check("exec", running, "readlink", f"/proc/{one}/ns/{kind}") for one in ("self", "1"))
        assert own == first
    for what in ("^Cap", "^Seccomp:", "^NoNewPrivs", "^Groups", "^Uid"):
        own, first = (program.check("exec", running, "grep", what, f"/proc/{one}/status") for one in ("self", "1"))
        assert own == first
    token = f"4{secrets.randbelow(10**8):08}"
    program.check("exec", "-d", running, "sleep", token)
    wait_until(lambda: bool(processes_with(f"sleep\0{token}\0")), seconds=30)
    program.check("exec", running, "killall", "-15", "sleep")  # the first handles no signal
    wait_until(lambda: not processes_with(f"sleep\0{token}\0"), seconds=30)
    assert program.check("exec", running, "sh", "-c", "umask; cat /proc/$$/comm; true") == "0022\nsh\n"
    assert program.check("exec", running, "sh", "-c", "ls /proc/$$/fd; true").split() == ["0", "1", "2"]


def test_owners_are_those_of_the_image(program: Program, running: str) -> None:
    """Also where there is one ID: the process is supervised as the container's own is."""
    made = "cd /; touch given; chown other:7 given; stat -c %u:%g given; mkdir open; chmod 1777 open"
    assert program.check("exec", running, "sh", "-c", made) == "5:7\n"
    assert (
        program.check("exec", "-u", "other", running, "sh", "-c", "touch /open/own; stat -c %u:%g /open/own") == "5:6\n"
    )
    refused = program.run("exec", "-u", "other", running, "chown", "root", "/open/own")
    assert (refused.returncode, "Operation not permitted" in refused.stderr) == (1, True)
    program.check("kill", running)
    tar = program.user.home / f"{running}.tar"
    program.check("export", "-o", tar, running)
    with tarfile.open(tar) as exported:
        owners = {name: (exported.getmember(name).uid, exported.getmember(name).gid) for name in ("given", "open/own")}
    assert owners == {"given": (5, 7), "open/own": (5, 6)}


def test_settings_are_the_containers_unless_given(program: Program, running: str) -> None:
    script = "echo $WHO $GIVEN $MORE $HOME $(id -u):$(id -g) $PWD $(hostname) $HOSTNAME"
    short = program.check("inspect", "--format", "{{.Id}}", running)[:12]
    assert program.check("exec", running, "sh", "-c", script) == f"image run /root 0:0 /there {short} {short}\n"
    file = program.user.home / "settings"
    file.write_text("# a comment\nMORE=file\nWHO=file\n")
    given = ("--env-file", file, "-e", "WHO=exec", "-u", "other", "-w", "/home")
    said = program.check("exec", *given, running, "sh", "-c", script)
    assert said == f"exec run file /home/other 5:6 /home {short} {short}\n"
    assert program.check("exec", "--user", "5:0", running, "id", "-g") == "0\n"


def test_input_output_and_status_are_its_own(program: Program, running: str) -> None:
    result = program.run("exec", "-i", running, "sh", "-c", "cat; echo wrong >&2; exit 7", stdin="typed\n")
    assert (result.returncode, result.stdout, result.stderr) == (7, "typed\n", "wrong\n")
    assert program.run("exec", running, "cat", stdin="not connected").stdout == ""
    assert program.run("exec", running, "sh", "-c", "kill -9 $$").returncode == 128 + signal.SIGKILL
    assert program.check("logs", running) == ""


def test_a_terminal(program: Program, running: str) -> None:
    script = f"tty; stty size; echo $TERM; read word; {TRAPPED}"
    with on_a_terminal(program, "exec", "-it", running, "sh", "-c", script, rows=33, columns=77) as screen:
        screen.until(r"/dev/pts/\d+\r\n33 77\r\nxterm\r\n")
        screen.type("typed\n")
        screen.until("ready typed\r\n")
        screen.type("\x03")
        screen.until("interrupted")
        assert screen.ended() == 5
    assert "not a TTY" in program.run("exec", "-it", running, "sh").stderr


def test_what_cannot_be_started_says_so(program: Program, running: str) -> None:
    for words, status, line in (
        (("absent",), 127, "absent: executable file not found in $PATH"),
        (("/there",), 126, "/there: "),
        (("/etc/passwd",), 126, "/etc/passwd: Permission denied"),
    ):
        for detach in ((), ("-d",)):
            result = program.run("exec", *detach, running, *words)
            assert result.returncode == status
            assert result.stderr.startswith(f"ocibuild: {line}")
    result = program.run("exec", "-w", "/typo/dir", running, "true")
    assert (result.returncode, result.stderr) == (
        127, "ocibuild: working directory /typo/dir: No such file or directory (make it first)\n"
    )  # fmt: skip
    assert "not an absolute path" in program.run("exec", "-w", "typo", running, "true").stderr
    assert "typo" not in program.check("exec", running, "ls", "/")
    assert "nobody" in program.run("exec", "-u", "nobody-there", running, "true").stderr
    assert program.run("exec", "absent", "true").stderr.startswith("ocibuild: absent: no such container")
    assert "--privileged is not supported" in program.run("exec", "--privileged", running, "true").stderr
    program.check("kill", running)
    result = program.run("exec", running, "true")
    assert (result.returncode, result.stderr) == (
        1, f"ocibuild: {running}: the container does not run (run it with `ocibuild run -d`)\n",
    )  # fmt: skip


def test_in_the_background_it_ends_with_the_container(program: Program, running: str) -> None:
    token = f"6{secrets.randbelow(10**8):08}"
    assert program.check("exec", "-d", running, "sleep", token) == ""
    wait_until(lambda: bool(processes_with(f"sleep\0{token}\0")), seconds=30)
    assert f"sleep {token}" in program.check("exec", running, "ps")
    program.check("kill", running)
    wait_until(lambda: not processes_with(token), seconds=30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_passed_on(program: Program, running: str, number: int) -> None:
    process = program.start("exec", running, "sh", "-c", "trap 'exit 42' INT TERM; echo; while :; do sleep 0.05; done")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 42


def test_who_is_killed_takes_its_process_along(program: Program, running: str) -> None:
    token = f"5{secrets.randbelow(10**8):08}"
    process = program.start("exec", running, "sleep", token)
    wait_until(lambda: bool(processes_with(f"sleep\0{token}\0")), seconds=30)
    process.kill()
    process.communicate(timeout=60)
    wait_until(lambda: not processes_with(f"sleep\0{token}\0"), seconds=30)
    assert program.check("exec", running, "echo", "runs") == "runs\n"


def test_it_may_come_as_soon_as_the_container_is_known(program: Program, name: str) -> None:
    """What has a root of its own only after that would show the machine's."""
    container = program.start("run", "--name", name, "image", "sleep", "1000")
    while (result := program.run("exec", name, "ls", "/")).returncode:
        assert "no such container" in result.stderr
    assert "there" in result.stdout.split()
    program.check("kill", name)
    container.communicate(timeout=60)


HOSTILE = r"""
printf '#!/proc/self/exe\n' > /bin/trap; chmod +x /bin/trap
printf '#!/bin/sh\necho harmless\n' > /bin/swapped; chmod +x /bin/swapped
(while :; do for one in /proc/[0-9]*; do readlink $one/exe; ls -l $one/fd; done >> /seen 2> /dev/null; done) &
(while :; do for one in /proc/[0-9]*; do
    if [ $one != /proc/1 ] && { : >> $one/exe; } 2> /dev/null; then echo $one >> /written; fi
done; done) &
(while :; do
    cp /bin/trap /bin/new; mv /bin/new /bin/swapped; cp /bin/harmless /bin/new; mv /bin/new /bin/swapped
done) &
touch /ready
sleep 1000
"""


def test_a_hostile_container_gets_hold_of_nothing_of_the_machine(program: Program, name: str) -> None:
    """It looks at each process that comes, and makes what is run a script of the interpreter of who runs it."""
    script = "cp /bin/busybox /bin/harmless" + HOSTILE
    program.check("run", "-d", "--name", name, "image", "sh", "-c", script)
    wait_until(lambda: program.run("exec", name, "test", "-e", "/ready").returncode == 0, seconds=60)
    statuses = {program.run("exec", name, "/bin/swapped", "true", timeout=60).returncode for _ in range(30)}
    assert statuses <= {0, 1, 2, 126, 127}  # a copy of Python that finds nothing of its own there
    assert "Too many levels of symbolic links" in program.run("exec", name, "/bin/trap").stderr
    assert "symbolic links" in program.run("exec", name, "/proc/self/exe").stderr
    for path in ("/proc/self/cwd", "/proc/self/root", *(f"/proc/self/fd/{number}" for number in range(12))):
        assert program.run("exec", "-w", path, name, "true").returncode in (125, 127), path
    seen = program.check("exec", name, "cat", "/seen")
    assert "busybox" in seen
    assert re.findall(r".*(?:/python|\.venv|site-packages).*", seen) == []  # only the copy, memfd:python
    written = program.run("exec", name, "cat", "/written").stdout
    assert written == ""


def test_only_who_owns_the_container_comes_in_and_only_into_it(program: Program, running: str) -> None:
    """Whoever could reach the door, a container that is shown the store too, must not start programs of the machine."""
    program.check("exec", running, "true")
    (door,) = program.store.glob("containers/*/door")
    assert door.stat().st_mode & 0o777 == 0o600
    made = program.user.home / "made-by-a-stranger"
    spec = ProgramSpec("/bin/touch", ["touch", str(made)], {}, "/")
    null = os.open(os.devnull, os.O_RDWR)
    try:
        refused = _knock_as(program.user.account.uid, door, spec, null)
        stranger = _knock_as(12345, door, spec, null)
    finally:
        os.close(null)
    assert refused == stranger == "lost"
    assert not made.exists()
    for packet in (b"", b"{", b"[]", b'["users"]', b'["nothing"]', b"7", b"[[]]", b"[" * 200):
        _send_as(program.user.account.uid, door, packet)
    assert program.check("exec", running, "echo", "well") == "well\n"


def _knock_as(uid: int, door: Path, spec: ProgramSpec, null: int) -> str:
    """Ask for a program at a door, as some user, in a child; return what becomes of it."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        said = "nothing"
        try:
            fd = os.open(door.parent, os.O_PATH)
            os.setresuid(uid, uid, uid)
            running = knock(f"/proc/self/fd/{fd}/door", spec, null, null, null)  # type: ignore[arg-type]
            running.wait()
            said = "ran"
        except Exception:  # noqa: BLE001
            said = "lost"
        finally:
            theirs.send(said.encode())
            os._exit(0)
    os.waitpid(child, 0)
    with ours, theirs:
        return ours.recv(100).decode()


def _send_as(uid: int, door: Path, packet: bytes) -> None:
    """Send a packet to a door, as some user, in a child."""
    child = os.fork()
    if child == 0:
        try:
            fd = os.open(door.parent, os.O_PATH)
            os.setresuid(uid, uid, uid)
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
                line.connect(f"/proc/self/fd/{fd}/door")
                socket.send_fds(line, [packet], [0, 1, 2, fd])
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def test_one_comes_into_a_container_for_another_processor(program: Program, name: str, arm64_base: str) -> None:
    options = ("--platform", "linux/arm64", "--name", name)
    program.check("run", "-d", *options, arm64_base, "sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done")
    assert program.check("exec", name, "uname", "-m") == "aarch64\n"
    program.check("exec", name, "sh", "-c", "kill -0 1")
    program.check("stop", "-t", "60", name)
    assert program.check("wait", name) == "3\n"


def test_an_init_passes_signals_on_and_reaps_what_is_lost(everywhere: Program, busybox_base: str) -> None:
    everywhere.build(everywhere.context("image", {"Dockerfile": TEXT.format(base=busybox_base)}), "-t", "image")
    show = (
        "ps -o pid,args | grep -v ps; (sleep 0.1 &); sleep 0.5; ps -o stat | grep -c Z; tr -d '\\0' < /proc/1/cmdline"
    )
    said = everywhere.check("run", "--rm", "--init", "image", "sh", "-c", f"{show}; exit 0")
    lines = said.splitlines()
    assert re.fullmatch(r" *1 init *", lines[1])
    assert lines[-1] == "init"
    assert lines[-2] == "0"
    look = "readlink /proc/1/exe /proc/1/fd/*; cat /proc/1/environ /proc/1/maps; true"
    assert everywhere.check("run", "--rm", "--init", "image", "sh", "-c", look) == ""
    assert everywhere.run("run", "--rm", "--init", "image", "sh", "-c", "exit 9").returncode == 9
    assert everywhere.run("run", "--rm", "--init", "image", "sh", "-c", "kill -9 $$").returncode == 137
    assert everywhere.run("run", "--rm", "--init", "image", "absent").returncode == 127
    everywhere.check("run", "-d", "--init", "--name", "slow", "image")
    everywhere.check("stop", "-t", "60", "slow")  # sleep handles no SIGTERM, and would not get it as the first process
    assert everywhere.check("wait", "slow") == "143\n"
    everywhere.check("rm", "slow")
    refused = everywhere.run("run", "--rm", "--init", "--executor", "proot", "image")
    assert refused.returncode == 1
    assert "--init" in refused.stderr


def test_one_comes_in_beside_an_init(program: Program, name: str) -> None:
    program.check("run", "-d", "--init", "--name", name, "image")
    assert program.check("exec", name, "sh", "-c", "tr '\\0' ' ' < /proc/2/cmdline") == "sleep 1000 "


def test_an_init_leaves_the_terminal_to_its_program(program: Program) -> None:
    with on_a_terminal(program, "run", "--rm", "--init", "-it", "image", "sh", "-c", TRAPPED) as screen:
        screen.until("ready")
        screen.type("\x03")
        screen.until("interrupted")
        assert screen.ended() == 5
