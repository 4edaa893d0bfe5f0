"""``run`` and what is done with its containers: looked at, committed, removed, and found again after a crash."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import descendants, kill_all, mounts_below, processes_with, wait_until
from tests.support.screen import on_a_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.program import Program

TEXT = """\
FROM {base}
RUN mkdir /kept && echo old > /kept/file && echo other > /kept/other
ENV WHO=image
WORKDIR /kept
ENTRYPOINT ["sh", "-c"]
CMD ["echo $WHO"]
"""


@dataclass(frozen=True, slots=True)
class Yard:
    """Containers of the image ``yard``; each test has names of its own."""

    program: Program

    def run(self, *words: str, status: int = 0, stdin: str = "") -> str:
        result = self.program.run(*words, stdin=stdin)
        assert result.returncode == status, result.stderr
        return result.stdout if status == 0 else result.stderr

    def names(self, *words: str) -> list[str]:
        return self.run("ps", "--format", "{{.Names}}", *words).split()

    def state(self, name: str) -> str:
        return self.run("ps", "-a", "--format", "{{.Status}}", "--filter", f"name={name}").strip()


@pytest.fixture(scope="module")
def yard(shared: Program, busybox_base: str) -> Yard:
    shared.build(shared.context("yard", {"Dockerfile": TEXT.format(base=busybox_base)}), "-t", "yard")
    return Yard(shared)


@pytest.fixture
def name(yard: Yard) -> Iterator[str]:
    """The name of a container, which is removed at the end."""
    name = f"test-{secrets.token_hex(4)}"
    yield name
    yard.run("rm", "--force", name)


WAYS = {
    "overlay": (),
    "copy": ("--snapshotter", "copy"),
    "proot": ("--executor", "proot"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_a_container_changed_is_seen_and_made_an_image(yard: Yard, name: str, way: tuple[str, ...]) -> None:
    script = "echo new > added; echo more >> file; rm other; mkdir -p /a/b; ln -s x /a/link; exit 3"
    yard.run("run", *way, "--name", name, "yard", script, status=3)
    assert yard.state(name).startswith("Exited (3) ")
    said = yard.run("diff", name) if way[:1] != ("--executor",) else None
    if said is not None:
        assert said.splitlines() == [
            "A /a", "A /a/b", "A /a/link", "C /kept", "A /kept/added", "C /kept/file", "D /kept/other",
        ]  # fmt: skip
    tag = f"made-{name}:1"
    changes = ("-c", 'CMD ["cat added file; ls; echo $MORE"]', "-c", "ENV MORE=yes")
    image_id = yard.run("commit", "-m", "by hand", "-a", "me", *changes, name, tag).strip()
    shown = json.loads(yard.run("inspect", tag))[0]
    assert shown["Id"] == image_id
    assert shown["Comment"] == "by hand"
    assert shown["Author"] == "me"
    assert shown["Config"]["Entrypoint"] == ["sh", "-c"]
    assert {"WHO=image", "MORE=yes"} <= set(shown["Config"]["Env"])
    assert yard.run("run", "--rm", tag) == "new\nold\nmore\nadded\nfile\nyes\n"
    yard.run("validate", tag)
    context = yard.program.context("on-made", {"Dockerfile": f"FROM {tag}\nRUN test -e /a/b && ! test -e other\n"})
    yard.program.build(context)
    yard.run("rmi", tag)


def test_settings_of_a_container_are_those_of_the_image_made_of_it(yard: Yard, name: str) -> None:
    """As in docker: without --change, what was run is what the image runs."""
    words = (
        "--name",
        name,
        "-e",
        "WHO=you",
        "-w",
        "/",
        "-u",
        "app",
        "--entrypoint",
        "sh",
        "yard",
        "-c",
        "echo $WHO; pwd",
    )
    assert yard.run("run", *words) == "you\n/\n"
    yard.run("commit", name, f"{name}:1")
    config = json.loads(yard.run("inspect", f"{name}:1"))[0]["Config"]
    assert config["Entrypoint"] == ["sh"]
    assert config["Cmd"] == ["-c", "echo $WHO; pwd"]
    assert config["User"] == "app"
    assert config["WorkingDir"] == "/"
    assert "WHO=you" in config["Env"]
    assert not any(setting.startswith("HOSTNAME") for setting in config["Env"])
    yard.run("rmi", f"{name}:1")


def test_containers_are_listed_the_newest_first(yard: Yard, name: str) -> None:
    yard.run("run", "--name", name, "yard")
    yard.run("run", "--name", f"{name}-2", "yard", "exit 7", status=7)
    try:
        assert yard.names("-a")[:2] == [f"{name}-2", name]
        assert yard.names() == []
        assert yard.names("-n", "1") == yard.names("--latest") == [f"{name}-2"]
        assert yard.names("--filter", "exited=7") == [f"{name}-2"]
        assert name in yard.names("-a", "--filter", "ancestor=yard")
        assert yard.names("-a", "--filter", "ancestor=other") == []
        image_id = yard.run("inspect", "--format", "{{.Id}}", "yard").strip()
        for ancestor in ("yard:latest", image_id, image_id[7:19]):
            assert name in yard.names("-a", "--filter", f"ancestor={ancestor}")
        assert yard.names("-a", "--filter", f"name=^{name}$") == [name]
        assert sorted(yard.names("-a", "--filter", f"name={name}.?2?$")) == [name, f"{name}-2"]
        assert yard.names("-a", "-n", "0") == yard.names("-a", "-n", "-3") == yard.names("-a")
        assert yard.names("--filter", "status=running") == []
        table = yard.run("ps", "-a").splitlines()
        assert re.fullmatch(r"CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES", table[0])
        assert re.fullmatch(
            r'[0-9a-f]{12} +yard +"sh -c .exit 7." +.* ago +Exited \(7\) .* ago +' + name + "-2", table[1]
        )
        whole = json.loads(yard.run("ps", "-a", "--no-trunc", "-n", "1", "--format", "json"))
        assert re.fullmatch("[0-9a-f]{64}", whole["ID"])
        assert yard.run("ps", "-aq", "--filter", f"id={whole['ID'][:10]}").split() == [whole["ID"][:12]]
        assert yard.run("logs", whole["ID"][:8]) == ""
    finally:
        yard.run("rm", f"{name}-2")


def test_what_a_container_wrote_is_kept_by_stream(yard: Yard, name: str) -> None:
    where = yard.program.user.home / name
    ocibuild = yard.program.user.programs / "ocibuild"
    script = '"$1" run --name "$2" yard "$4" > "$3.run" 2> "$3.errors"'
    said = "echo one; echo two >&2; printf 'no end\\377'"
    yard.program.user.run("sh", "-c", script, "sh", ocibuild, name, where, said)
    assert where.with_suffix(".run").read_bytes() == b"one\nno end\xff"
    assert where.with_suffix(".errors").read_bytes() == b"two\n"
    script = '"$1" logs "$2" > "$3.out" 2> "$3.err"'
    yard.program.user.run("sh", "-c", script, "sh", ocibuild, name, where)
    assert where.with_suffix(".out").read_bytes() == b"one\nno end\xff"
    assert where.with_suffix(".err").read_bytes() == b"two\n"
    script = '"$1" logs -t "$2" 2> /dev/null | grep -a one; "$1" logs --tail 1 "$2" | wc -l'
    line, count = yard.program.user.run("sh", "-c", script, "sh", ocibuild, name).stdout.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z one", line)
    assert count in ("0", "1")


def test_input_and_terminals_are_as_ever_and_kept(yard: Yard, name: str) -> None:
    assert yard.run("run", "-i", "--name", name, "yard", "cat", stdin="typed\n") == "typed\n"
    assert yard.run("logs", name) == "typed\n"
    yard.run("rm", name)
    with on_a_terminal(yard.program, "run", "-it", "--name", name, "yard", "PS1='look> ' sh") as screen:
        screen.until("look> ")
        screen.type("echo $((6 * 7)) > /answer; tty; exit 4\n")
        screen.until(r"/dev/pts/\d+\r\n")
        assert screen.ended() == 4
    assert "/dev/pts/" in yard.run("logs", name)
    assert yard.run("diff", name) == "A /answer\n"


def test_with_rm_nothing_is_left(yard: Yard) -> None:
    before = yard.run("ps", "-aq")
    assert yard.run("run", "--rm", "yard", "touch /x; echo gone") == "gone\n"
    yard.run("run", "--rm", "yard", "exit 5", status=5)
    yard.run("run", "--rm", "--entrypoint", "/no/such", "yard", status=127)
    assert yard.run("ps", "-aq") == before


def test_a_process_that_cannot_be_started_leaves_a_container_that_says_so(yard: Yard, name: str) -> None:
    yard.run("run", "--name", name, "--entrypoint", "/no/such", "yard", status=127)
    assert yard.state(name).startswith("Exited (127) ")


def test_a_container_in_the_background(yard: Yard, name: str) -> None:
    script = "echo begun; trap 'echo asked; exit 6' TERM; while :; do sleep 0.1; done"
    container_id = yard.run("run", "-d", "--name", name, "yard", script).strip()
    assert re.fullmatch("[0-9a-f]{64}", container_id)
    wait_until(lambda: yard.run("logs", name) == "begun\n")
    assert yard.names() == [name]
    assert yard.state(name).startswith("Up ")
    assert "the container runs" in yard.run("rm", name, status=1)
    waiting = yard.program.start("wait", name)
    following = yard.program.start("logs", "--follow", name)
    assert yard.run("stop", "-t", "10", name) == f"{name}\n"
    assert waiting.communicate(timeout=10)[0] == "6\n"
    assert following.communicate(timeout=10)[0] == "begun\nasked\n"
    assert yard.state(name).startswith("Exited (6) ")
    assert yard.run("wait", name) == "6\n"


def test_a_container_that_does_not_want_to_end_is_killed(yard: Yard, name: str) -> None:
    token = f"7{secrets.randbelow(10**8):08}"
    yard.run("run", "-d", "--name", name, "yard", f"trap '' TERM; sleep {token} & wait; sleep {token}")
    wait_until(lambda: bool(processes_with(f"sleep\0{token}\0")))
    yard.run("stop", "-t", "0", name)
    wait_until(lambda: not processes_with(f"sleep\0{token}\0"))
    assert yard.state(name).startswith("Exited (137) ")
    assert "the container does not run" in yard.run("kill", name, status=1)


def test_each_signal_reaches_a_container_in_the_background(yard: Yard, name: str) -> None:
    script = (
        "trap 'echo hup' HUP; trap 'echo one' USR1; trap 'echo asked' TERM; trap 'echo quit; exit 5' QUIT; echo ready;"
        " while :; do sleep 0.05; done"
    )
    yard.run("run", "-d", "--name", name, "yard", script)
    told = "ready\n"
    for number in ("HUP", "USR1", "HUP", "TERM", "TERM"):
        wait_until(lambda told=told: yard.run("logs", name) == told)  # type: ignore[misc]
        yard.run("kill", "-s", number, name)
        told += {"HUP": "hup", "USR1": "one", "TERM": "asked"}[number] + "\n"
    wait_until(lambda: yard.run("logs", name) == told)
    assert "signal STOP: not supported" in yard.run("kill", "-s", "STOP", name, status=2)
    assert "no such signal" in yard.run("kill", "-s", "NONE", name, status=2)
    yard.run("stop", "--signal", "QUIT", "--timeout", "-1", name)
    assert yard.run("wait", name) == "5\n"
    lines = yard.run("logs", "-t", "--tail", "3", name).splitlines()
    assert [line.split(" ")[1] for line in lines] == ["asked", "asked", "quit"]


def test_the_images_own_signal_stops_its_containers(yard: Yard, name: str) -> None:
    yard.run("run", "--name", name, "yard", "true")
    yard.run("commit", "-c", "STOPSIGNAL SIGUSR2", name, f"{name}:1")
    running = f"{name}-running"
    script = "trap 'exit 9' USR2; echo ready; while :; do sleep 0.05; done"
    yard.run("run", "-d", "--name", running, f"{name}:1", script)
    wait_until(lambda: yard.run("logs", running) == "ready\n")
    yard.run("stop", running)
    assert yard.run("wait", running) == "9\n"
    yard.run("rm", running)
    yard.run("rmi", f"{name}:1")


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_container_that_runs_is_committed(yard: Yard, name: str, way: tuple[str, ...]) -> None:
    """By copying and under proot what it has changed is known at its end only."""
    script = "echo here > /made; rm /kept/other; echo ready; until [ -e /end ]; do sleep 0.05; done"
    yard.run("run", "-d", *way, "--name", name, "yard", script)
    wait_until(lambda: yard.run("logs", name) == "ready\n")
    if way:
        assert "the container runs" in yard.run("commit", name, f"{name}:1", status=1)
        return
    yard.run("commit", "-c", 'CMD ["cat /made; ls /kept"]', name, f"{name}:1")
    assert yard.state(name).startswith("Up ")
    assert yard.run("run", "--rm", f"{name}:1") == "here\nfile\n"
    yard.run("exec", name, "touch", "/end")
    assert yard.run("wait", name) == "0\n"
    yard.run("rmi", "-f", f"{name}:1")


def test_what_waits_for_input_in_the_background_waits(yard: Yard, name: str) -> None:
    for options, number in (("-dit", 1), ("-di", 2), ("-dt", 3)):
        running = f"{name}-{number}"
        yard.run("run", options, "--entrypoint", "sh", "--name", running, "yard")
        assert yard.run("exec", running, "echo", "inside") == "inside\n"
        assert yard.state(running).startswith("Up ")
        terminal = yard.run("exec", running, "readlink", "/proc/1/fd/0")
        assert terminal.startswith("/dev/pts/") == ("t" in options)
        yard.run("rm", "-f", running)


def test_lines_of_a_log_are_those_that_were_written(yard: Yard, name: str) -> None:
    """In however many pieces; what has no end comes last."""
    script = (
        "for n in 1 2 3 4; do echo $n; done; printf pie; sleep 0.2; printf 'ce\\nlast'; head -c 40000 /dev/zero >&2"
    )
    yard.run("run", "--name", name, "yard", script)
    assert yard.run("logs", "--tail", "5", name).replace("\0", "") == "piece\nlast"
    assert yard.run("logs", name).replace("\0", "") == "1\n2\n3\n4\npiece\nlast"


@pytest.mark.parametrize("number", ["KILL", "SIGINT", "15", "hup"])
def test_signals_are_passed_on(yard: Yard, name: str, number: str) -> None:
    script = "trap 'exit 42' INT TERM HUP; echo ready; while :; do sleep 0.05; done"
    yard.run("run", "-d", "--name", name, "yard", script)
    wait_until(lambda: yard.run("logs", name) == "ready\n")
    yard.run("kill", "-s", number, name)
    assert yard.run("wait", name) == ("137\n" if number == "KILL" else "42\n")


def test_what_goes_wrong_before_a_container_runs_is_said_before_d_returns(yard: Yard) -> None:
    assert "UPPER" in yard.run("run", "-d", "UPPER", status=1)
    assert "no such image" in yard.run("run", "-d", "--pull", "never", "absent", status=1)
    assert "no name of a container" in yard.run("run", "-d", "--name", "a b", "yard", status=2)


def test_after_a_crash_of_everything_a_container_has_ended_with_what_it_changed(yard: Yard, name: str) -> None:
    token = f"8{secrets.randbelow(10**8):08}"
    script = f"echo before > /before; sync; echo written; sleep {token}"
    yard.run("run", "-d", "--name", name, "yard", script)
    wait_until(lambda: yard.run("logs", name) == "written\n")
    runner = [pid for pid in processes_with(name) if pid != os.getpid()]
    kill_all([*runner, *processes_with(f"sleep\0{token}\0")])
    wait_until(lambda: not processes_with(f"sleep\0{token}\0"))
    assert yard.state(name).startswith("Exited (137) ")
    assert not mounts_below(yard.program.user.home)
    yard.program.build(yard.program.user.home / "yard", "--no-cache")  # which clears up after others
    assert yard.run("diff", name) == "A /before\n"
    yard.run("commit", name, f"{name}:1")
    assert yard.run("run", "--rm", f"{name}:1", "cat /before") == "before\n"
    yard.run("rmi", f"{name}:1")


def test_a_name_is_given_once(yard: Yard, name: str) -> None:
    yard.run("run", "--name", name, "yard")
    line = yard.run("run", "--name", name, "yard", status=2)
    assert f"there is a container with the name {name} already" in line
    yard.run("rm", name)
    assert "no such container" in yard.run("rm", name, status=1)
    yard.run("rm", "-f", name)


def test_an_image_that_a_container_needs_stays(yard: Yard, name: str) -> None:
    context = yard.program.context("needed", {"Dockerfile": "FROM yard\nRUN echo needed > /needed\n"})
    yard.program.build(context, "-t", f"{name}:1")
    yard.run("tag", f"{name}:1", f"{name}:2")
    yard.run("run", "--name", name, f"{name}:1", "echo more > /more")
    yard.run("rmi", f"{name}:1")
    assert f"the container {name} was made of it" in yard.run("rmi", f"{name}:2", status=1)
    yard.run("prune", "--all")
    yard.run("rmi", "--force", f"{name}:2")
    yard.run("prune", "--all")
    yard.run("commit", name, f"{name}:3")
    assert yard.run("run", "--rm", f"{name}:3", "cat /needed /more") == "needed\nmore\n"
    yard.run("validate", f"{name}:3")
    yard.run("rmi", f"{name}:3")


def test_all_files_of_a_container_are_exported(yard: Yard, name: str) -> None:
    yard.run("run", "--name", name, "yard", "echo own > /own; rm other")
    path = yard.program.user.home / f"{name}.tar"
    yard.run("export", "-o", str(path), name)
    with tarfile.open(path) as tar:
        names = tar.getnames()
    assert {"own", "kept/file"} <= set(names)
    assert "kept/other" not in names
    yard.run("import", "-q", str(path), f"{name}:flat")
    assert yard.run("run", "--rm", f"{name}:flat", "cat", "/own", "/kept/file") == "own\nold\n"
    yard.run("rmi", f"{name}:flat")


def test_what_is_shown_of_the_machine(yard: Yard) -> None:
    folder = yard.program.context("shown", {"file": "machine's\n", "settings": "# comment\nONE=1\n\nTWO=a b\nHOME\n"})
    run = ("run", "--rm")
    assert yard.run(*run, "-v", f"{folder}:/shown:ro", "yard", "cat /shown/file") == "machine's\n"
    yard.run(*run, "-v", f"{folder}:/shown:ro", "yard", "echo x > /shown/file", status=1)
    yard.run(*run, "-v", f"{folder}:/shown", "yard", "echo changed > /shown/file")
    assert (folder / "file").read_text() == "changed\n"
    assert (folder / "file").stat().st_uid == yard.program.user.account.uid
    mount = f"type=bind,source={folder}/file,target=/one,readonly"
    assert yard.run(*run, "--mount", mount, "yard", "cat /one; echo x > /one || echo no") == "changed\nno\n"
    assert (
        yard.run(*run, "--mount", "type=tmpfs,target=/kept", "yard", "ls /kept; echo x > /kept/y && echo ok") == "ok\n"
    )
    settings = ("--env-file", f"{folder}/settings", "-e", "ONE=2")
    assert yard.run(*run, *settings, "yard", "echo $ONE $TWO $WHO") == "2 a b image\n"
    assert yard.run(*run, "-v", f"{folder}/made:/made", "yard", "ls -d /made") == "/made\n"
    assert (folder / "made").is_dir()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_in_the_background_what_cannot_be_started_says_so(yard: Yard, name: str, way: tuple[str, ...]) -> None:
    for program, status in (("nosuch", 127), ("/no/such", 127), ("/etc/passwd", 126)):
        words = ("run", "-d", *way, "--name", f"{name}-{status}", "--entrypoint", program, "yard")
        said = yard.run(*words, status=status)
        yard.run("rm", "--force", f"{name}-{status}")
        assert said.splitlines()[-1].startswith(f"ocibuild: {program}: "), said
    wanted = () if way[:1] != ("--executor",) else ("run", "-d", *way, "--init", "--name", name, "yard")
    if wanted:
        assert "ocibuild: --init: proot gives a step no PID namespace" in yard.run(*wanted, status=1)
        assert yard.state(name).startswith("Exited (125)")


def test_what_is_missing_is_pulled(yard: Yard, busybox_base: str) -> None:
    root = ("--root", str(yard.program.user.home / "pulling"))
    assert "no such image" in yard.run(*root, "run", "--rm", "--pull", "never", busybox_base, "true", status=1)
    assert yard.run(*root, "run", "--rm", busybox_base, "echo", "pulled") == "pulled\n"
    assert yard.run(*root, "images", "-q").count("\n") == 1


def test_a_container_is_ended_with_the_runner_in_front(yard: Yard, name: str) -> None:
    process = yard.program.start(
        "run", "--name", name, "yard", "trap 'exit 9' INT; echo up; while :; do sleep 0.05; done"
    )
    wait_until(lambda: name in yard.names() and yard.run("logs", name) == "up\n")
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 9
    assert process.communicate()[0] == "up\n"
    assert yard.state(name).startswith("Exited (9) ")


def test_two_signals_at_once_are_both_heard(yard: Yard, name: str) -> None:
    """None is for another thread, while the main one waits in the kernel and has one already."""
    process = yard.program.start("run", "--name", name, "yard", "echo up; while :; do sleep 0.05; done")
    wait_until(lambda: name in yard.names() and yard.run("logs", name) == "up\n")
    (runner,) = (one for one in descendants(process.pid) if len(os.listdir(f"/proc/{one}/task")) > 1)
    both = 1 << signal.SIGTERM - 1 | 1 << signal.SIGINT - 1
    others = [one for one in Path(f"/proc/{runner}/task").iterdir() if one.name != str(runner)]
    assert len(others) == 2
    for one in others:
        blocked = re.search("SigBlk:\t([0-9a-f]+)", (one / "status").read_text())
        assert blocked is not None
        assert int(blocked[1], 16) & both == both
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(runner, number)
    assert process.communicate(timeout=10)[0] == "up\n"
    assert process.returncode == 137


def test_files_are_copied_out(yard: Yard, name: str) -> None:
    script = "mkdir -p /made/below && echo one > /made/file && chmod 750 /made/file && ln -s file /made/link"
    yard.run("run", "--name", name, "yard", script)
    folder = yard.program.context(f"out-{name}", {"there/mine": "mine\n"})
    copies = {
        ("/made", "new"): {"new/file", "new/link", "new/below"},
        ("/made", "there"): {"there/mine", "there/made/file", "there/made/link", "there/made/below", "there/made"},
        ("/made/.", "whole"): {"whole/file", "whole/link", "whole/below"},
        ("/made/file", "alone"): {"alone"},
        ("kept/file", "there/"): {"there/mine", "there/file"},
        ("/made/link", "linked"): {"linked"},
    }
    for (path, to), expected in copies.items():
        yard.run("cp", f"{name}:{path}", f"{folder}/{to}")
        found = {str(one.relative_to(folder)) for one in (folder / to).rglob("*")} | (expected & {to})
        assert expected <= found, path
    assert (folder / "new/file").read_text() == "one\n"
    assert (folder / "new/file").stat().st_mode & 0o777 == 0o750
    assert os.readlink(folder / "linked") == "file"
    assert {one.lstat().st_uid for one in folder.rglob("*")} == {yard.program.user.account.uid}
    for path, to, problem in (
        ("/absent", "x", "/absent: No such file or directory in the container"),
        ("/made/file", "no/x", "no such directory"),
        ("/made/file", "no/", "no such directory"),
        ("/made", "alone", "is no directory, and /made is one"),
        ("/made/file/", "x", "/made/file/: is no directory in the container"),
    ):
        assert problem in yard.run("cp", f"{name}:{path}", f"{folder}/{to}", status=1)


def test_what_is_copied_out_follows_no_link_of_the_container(yard: Yard, name: str) -> None:
    """Neither one on the way in the container, which leads into that, nor one that was copied before."""
    script = "ln -s /etc /a; mkdir -p /b && ln -s /tmp/outside /b/c"
    yard.run("run", "--name", name, "yard", script)
    folder = yard.program.context(f"links-{name}", {})
    yard.run("cp", f"{name}:/a/hostname", f"{folder}/x", status=1)
    yard.run("cp", f"{name}:/b", f"{folder}/b")
    assert os.readlink(folder / "b/c") == "/tmp/outside"
    yard.run("cp", f"{name}:/kept/.", f"{folder}/b")
    assert sorted(os.listdir(folder / "b")) == ["c", "file", "other"]


def test_a_file_is_copied_to_where_a_link_leads_and_replaces_no_device(yard: Yard, name: str) -> None:
    script = "mkdir /there && ln -s there/target /link && ln -s /there /folder && echo new > /there/new"
    yard.run("run", "--name", name, "yard", script)
    folder = yard.program.context(f"led-{name}", {"before": "x", "in/mine": "mine\n"})
    (folder / "link").symlink_to("before")
    (folder / "new").symlink_to("in/new")
    os.mkfifo(folder / "fifo")
    (folder / "special").symlink_to("fifo")
    for to in ("link", "new"):
        yard.run("cp", f"{name}:/kept/file", f"{folder}/{to}")
    assert (folder / "before").read_text() == (folder / "in/new").read_text() == "old\n"
    assert (folder / "link").is_symlink()
    for to in ("fifo", "special"):  # as /dev/null would be
        assert "is neither a file nor a directory" in yard.run("cp", f"{name}:/kept/file", f"{folder}/{to}", status=1)
    assert (folder / "fifo").is_fifo()
    yard.run("cp", f"{name}:/folder/", f"{folder}/whole")
    assert (folder / "whole/new").read_text() == "new\n"
    yard.run("cp", f"{folder}/in/mine", f"{name}:/link")
    yard.run("cp", f"{folder}/in/mine", f"{name}:/folder/other")
    assert {"A /there/target", "A /there/other", "A /link"} <= set(yard.run("diff", name).splitlines())


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_files_are_copied_in(yard: Yard, name: str, way: tuple[str, ...]) -> None:
    script = (
        "ln -s /kept /way; echo ran > /ran; rm /kept/other; rm -r /tmp; mkdir /tmp; echo x > /tmp/x; chown 5:6 /ran"
    )
    yard.run("run", *way, "--name", name, "yard", script)
    folder = yard.program.context(f"in-{name}", {"tree/a": "a\n", "tree/b/c": "c\n", "file": "file\n"})
    yard.run("cp", f"{folder}/file", f"{name}:/new")
    yard.run("cp", f"{folder}/file", f"{name}:/kept")
    yard.run("cp", f"{folder}/tree", f"{name}:/way")
    yard.run("cp", f"{folder}/tree/.", f"{name}:/flat")
    for missing in ("/no/such/file", "/no/", "/ran/"):
        assert "no such directory in the container" in yard.run("cp", f"{folder}/file", f"{name}:{missing}", status=1)
    assert "no such file" in yard.run("cp", f"{folder}/absent", f"{name}:/x", status=1)
    assert "must be CONTAINER:PATH" in yard.run("cp", "a", "b", status=2)
    changed = yard.run("diff", name).splitlines()
    assert {"A /new", "C /kept/file", "A /kept/tree/b/c", "A /flat/a", "A /ran", "D /kept/other"} <= set(changed)
    yard.run("commit", "-c", 'ENTRYPOINT ["sh", "-c"]', name, f"{name}:1")
    look = "cat /new /kept/file /kept/tree/a /flat/b/c /tmp/x; stat -c %u:%g /new /flat /ran; ls /kept"
    shown = yard.run("run", "--rm", f"{name}:1", look)
    assert shown == "file\nfile\na\nc\nx\n0:0\n0:0\n5:6\nfile\ntree\n"
    yard.run("rmi", f"{name}:1")


def test_nothing_is_copied_into_a_container_that_runs(yard: Yard, name: str) -> None:
    yard.run("run", "-d", "--name", name, "yard", "sleep 1000")
    folder = yard.program.context(f"running-{name}", {"file": "x"})
    assert "the container runs" in yard.run("cp", f"{folder}/file", f"{name}:/x", status=1)


def test_a_container_is_inspected(yard: Yard, name: str) -> None:
    yard.run("run", "--name", name, "-e", "A=b", "--hostname", "here", "yard", "exit 3", status=3)
    (shown,) = json.loads(yard.run("inspect", name))
    assert shown["Name"] == f"/{name}"
    assert (shown["State"]["Status"], shown["State"]["ExitCode"], shown["State"]["Pid"]) == ("exited", 3, 0)
    assert shown["State"]["StartedAt"] < shown["State"]["FinishedAt"]
    assert (shown["Path"], shown["Args"]) == ("sh", ["-c", "exit 3"])
    assert shown["Image"] == yard.run("inspect", "--type", "image", "-f", "{{.Id}}", "yard").strip()
    assert "A=b" in shown["Config"]["Env"]
    assert (shown["Config"]["Hostname"], shown["Config"]["Image"]) == ("here", "yard")
    assert yard.run("inspect", "-f", "{{.State.Running}} {{.Config.Tty}}", shown["Id"][:12]) == "false false\n"
    assert "no such container" in yard.run("inspect", "--type", "container", "yard", status=1)


@pytest.mark.parametrize("words", [("--rm",), ()], ids=["removed", "kept"])
def test_who_writes_to_a_pipe_that_nobody_reads_is_told_so(yard: Yard, name: str, words: tuple[str, ...]) -> None:
    """As ``ocibuild run … | head`` has it: neither of them goes on for ever."""
    script = '"$1" run --name "$2" $3 yard "yes; echo ended \\$? >&2" | head -n 1'
    program = yard.program.user.programs / "ocibuild"
    result = yard.program.user.run("sh", "-c", script, "sh", program, name, " ".join(words), timeout=30)
    assert result.stdout == "y\n"
    assert "ended" in result.stderr


@pytest.mark.parametrize("snapshotter", ["overlay", "copy"])
def test_a_read_only_container_changes_what_is_mounted_alone(yard: Yard, snapshotter: str) -> None:
    """As with docker: neither its tree nor the files about the network, but /dev/shm and what it was given."""
    folder = yard.program.user.home / f"given-{snapshotter}"
    folder.mkdir()
    yard.program.user.give(folder)
    script = (
        "for file in /kept/file /new /etc/hosts /etc/resolv.conf; do (echo x >> $file) 2>/dev/null && echo $file; done;"
        "echo x > /dev/shm/x && echo x > /given/x && echo x > /scratch/x && pwd"
    )
    given = ("-v", f"{folder}:/given", "--mount", "type=tmpfs,target=/scratch", "-w", "/made/for/it")
    shown = yard.run("run", "--rm", "--read-only", "--snapshotter", snapshotter, *given, "yard", script)
    assert shown == "/made/for/it\n"
    assert (folder / "x").read_text() == "x\n"


def test_where_nothing_is_mounted_nothing_can_be_read_only(yard: Yard) -> None:
    said = yard.run("run", "--rm", "--read-only", "--executor", "proot", "yard", "true", status=1)
    assert "--read-only: proot gives a step a tree that it can write to" in said
