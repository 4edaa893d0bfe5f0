"""``build --debug-on-failure``: a shell in what a failed RUN has left, on a real terminal, and nothing left of it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.lab import needs_root
from tests.support.peers import require_peer
from tests.support.processes import mounts_below, processes_with, wait_until
from tests.support.program import program_of_ordinary_user, program_of_root
from tests.support.screen import on_a_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from tests.support.program import Program
    from tests.support.screen import Screen

CHECKOUT = Path(__file__).parents[2]
LONG = 200_000 + os.getpid()  # seconds, that no other test sleeps
PROMPT = "look> "
NOTICE = r"the step failed with exit code 3\. This is a shell .*thrown away.*`exit`.*\r\n"
WAYS = {
    "overlay": ("--snapshotter", "overlay"),
    "copy": ("--snapshotter", "copy"),
    "proot": ("--executor", "proot"),
}
ENDS = [
    *(pytest.param("killed", way, id=f"killed-{name}") for name, way in WAYS.items()),
    *(pytest.param(end, WAYS["overlay"], id=end) for end in ("hangup", "terminated")),
]
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
STEP = f"""\
ENV PS1='{PROMPT}' GREETING=hello
WORKDIR /work
RUN echo someone:x:1234:1234::/work:/bin/sh >> /etc/passwd && chown 1234 .
USER someone
RUN echo made > here; echo failing; exit 3
"""


@pytest.fixture(scope="module")
def shared() -> Iterator[Program]:
    """ocibuild as an ordinary user, with one store for all tests here but those about everybody."""
    with program_of_ordinary_user() as program:
        yield program


def build(
    program: Program, *words: str | Path, before: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> AbstractContextManager[Screen]:
    words = ("build", "--debug-on-failure", "--progress", "plain", *words)
    return on_a_terminal(program, *words, before=before, environ=environ)


def exit_shell(screen: Screen) -> str:
    """Leave the shell and wait for the end of the build, which fails; return what is shown meanwhile."""
    screen.type("exit 9\n")
    assert screen.ended() == 1
    return screen.shown.replace("\r\n", "\n")


def left_by(program: Program) -> list[str]:
    """Return what a store has beside what is committed, and the machine's mounts that have to do with it."""
    copy = program.user.home / "database"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in program.store.glob("ocibuild.db*"):  # who opens a database changes files beside it
        shutil.copy(path, copy)
    with closing(sqlite3.connect(copy / "ocibuild.db")) as connection:
        committed = {str(row[0]) for row in connection.execute("SELECT id FROM snapshots WHERE committed = 1")}
        active = [f"row {row[0]}" for row in connection.execute("SELECT id FROM snapshots WHERE committed = 0")]
    found = [path for folder in ("scratch", "trees", "ingest") for path in program.store.glob(f"{folder}/*")]
    found += [path for path in program.store.glob("snapshots/*") if path.name not in committed]
    return [*active, *map(str, found), *mounts_below(program.user.home)]


@every_way
def test_the_shell_has_what_the_step_had_and_the_build_fails_as_ever(
    everywhere: Program, busybox_base: str, way: tuple[str, str]
) -> None:
    context = everywhere.context("seen", {"Dockerfile": f"FROM {busybox_base}\n{STEP}"})
    with build(everywhere, *way, context) as screen:
        before = screen.settings
        screen.until(r"failing\r\n")
        screen.until(rf"ocibuild: {context}/Dockerfile:6: {NOTICE}")
        screen.until(PROMPT)
        assert screen.settings != before
        screen.type("echo $(cat here) $GREETING $(pwd) $(id -un) term=$TERM; touch by-hand; tty\n")
        screen.until(r"made hello /work someone term=xterm\r\n/dev/pts/\d+\r\n")
        screen.type(f"sleep {LONG}0\n")
        wait_until(lambda: bool(processes_with(f"sleep\0{LONG}0\0")))
        screen.type("\x03")
        screen.until(PROMPT)
        shown = exit_shell(screen)
        assert screen.settings == before
    assert shown.count("\n  | failing\n") == 1
    assert "exit code: 3\n" in shown
    assert "     6 | >>> RUN echo made > here; echo failing; exit 3\n" in shown
    assert not left_by(everywhere)
    again = everywhere.try_build(context, *way)
    assert again.cached("RUN echo someone")
    assert again.status == 1


MOUNTS = """\
RUN --mount=type=cache,target=/cache --mount=type=secret,id=word --mount=type=bind,source=.,target=/src,rw \\
    --mount=type=tmpfs,target=/memory --mount=type=bind,from=other,target=/other \\
    echo cached > /cache/name; echo changed > /src/file; exit 3
"""


@every_way
def test_the_shell_has_the_mounts_of_the_step(shared: Program, busybox_base: str, way: tuple[str, str]) -> None:
    text = f"FROM {busybox_base} AS other\nRUN echo other > /name\nFROM {busybox_base}\nENV PS1='{PROMPT}'\n{MOUNTS}"
    context = shared.context("mounts", {"Dockerfile": text, "file": "as it was\n"})
    with build(shared, *way, "--secret", "id=word,env=WORD", context, environ={"WORD": "xyzzy"}) as screen:
        screen.until(NOTICE)
        screen.until(PROMPT)
        screen.type(
            "echo $(cat /cache/name /run/secrets/word /src/file /other/name); touch /memory/x && echo took it\n"
        )
        screen.until(r"cached xyzzychanged other\r\ntook it\r\n")
        exit_shell(screen)
    assert (context / "file").read_text() == "as it was\n"
    assert not left_by(shared)


def test_the_shell_has_the_network_of_the_step(shared: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nENV PS1='{PROMPT}'\nRUN --network=none exit 3\n"
    with build(shared, shared.context("network", {"Dockerfile": text})) as screen:
        screen.until(PROMPT)
        screen.type("echo net: $(ls /sys/class/net)\n")
        screen.until(r"net: lo\r\n")
        exit_shell(screen)


SHELLS = {
    "that of SHELL, without its options": 'SHELL ["/usr/bin/busybox", "sh", "-e", "-c"]\nRUN rm /bin/sh; exit 3\n',
    "another where that is gone": 'RUN cp /bin/busybox /sbin/sh\nSHELL ["/sbin/sh", "-c"]\nRUN rm /sbin/sh; exit 3\n',
    "the usual one": 'RUN ["/bin/busybox", "sh", "-c", "exit 3"]\n',
}


@pytest.mark.parametrize("steps", SHELLS.values(), ids=SHELLS)
def test_the_shell_is(shared: Program, busybox_base: str, steps: str) -> None:
    text = f"FROM {busybox_base}\nENV PS1='{PROMPT}'\n{steps}"
    with build(shared, shared.context("shells", {"Dockerfile": text})) as screen:
        screen.until(NOTICE)
        screen.until(PROMPT)
        screen.type("false; echo still here\n")
        screen.until(r"still here\r\n")
        exit_shell(screen)


@every_way
def test_an_image_without_a_shell_is_said_to_have_none(shared: Program, way: tuple[str, str]) -> None:
    busybox = Path(require_peer("busybox")).read_bytes()
    text = 'FROM scratch\nCOPY --chmod=755 busybox /busybox\nRUN ["/busybox", "sh", "-c", "exit 3"]\n'
    context = shared.context("shell-less", {"Dockerfile": text, "busybox": busybox})
    with build(shared, *way, context) as screen:
        screen.until(NOTICE)
        screen.until(
            "no shell can be opened in the root file system of the step: neither /bin/sh nor /bin/bash is there"
        )
        assert screen.ended() == 1
    assert not left_by(shared)


def test_a_program_that_is_not_there_is_looked_for_by_hand(shared: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nENV PS1='{PROMPT}'\nRUN [\"/no/such/program\"]\n"
    with build(shared, shared.context("missing", {"Dockerfile": text})) as screen:
        screen.until(r"Dockerfile:3: the step could not be started\. This is a shell")
        screen.until(PROMPT)
        assert "/no/such/program: No such file or directory" in exit_shell(screen)


def test_other_stages_are_stopped_before_the_shell_is_opened(shared: Program, busybox_base: str) -> None:
    text = (
        f"FROM {busybox_base} AS other\nRUN echo other runs && sleep {LONG}1\n"
        f"FROM {busybox_base} AS failing\nENV PS1='{PROMPT}'\n"
        "RUN sleep 2; exit 3\n"
        f"FROM {busybox_base}\nCOPY --from=failing /x /x\nCOPY --from=other /x /x\n"
    )
    with build(shared, "--jobs", "2", shared.context("siblings", {"Dockerfile": text})) as screen:
        screen.until("other runs")
        wait_until(lambda: bool(processes_with(f"sleep\0{LONG}1\0")))
        screen.until("CANCELED")
        screen.until(NOTICE)
        screen.until(PROMPT)
        assert not processes_with(f"sleep\0{LONG}1\0")
        exit_shell(screen)


@pytest.mark.parametrize("progress", ["tty", "quiet"])
def test_progress_lets_go_of_the_terminal(shared: Program, busybox_base: str, progress: str) -> None:
    context = shared.context("let-go", {"Dockerfile": f"FROM {busybox_base}\n{STEP}"})
    with build(shared, "--progress", progress, context, environ={"TERM": "xterm"}) as screen:
        screen.until(NOTICE)
        screen.until(PROMPT)
        assert screen.quiet(1)
        screen.type("echo typed\n")
        screen.until(r"typed\r\ntyped\r\n")
        screen.until(PROMPT)
        shown = exit_shell(screen)
    assert shown.count("  | failing\n") == 1
    assert ("build FAILED" in shown) == (progress == "tty")


def test_the_shell_is_on_the_terminal_where_output_goes_elsewhere(shared: Program, busybox_base: str) -> None:
    context = shared.context("elsewhere", {"Dockerfile": f"FROM {busybox_base}\n{STEP}"})
    elsewhere = ("sh", "-c", 'exec "$@" > output 2> errors', "sh")
    with build(shared, context, before=elsewhere) as screen:
        screen.until(NOTICE)
        screen.until(PROMPT)
        screen.type("cat here\n")
        screen.until(r"made\r\n")
        exit_shell(screen)
    assert (shared.user.home / "output").read_text() == ""
    errors = (shared.user.home / "errors").read_text()
    assert "  | failing\n" in errors
    assert PROMPT not in errors


def test_without_a_terminal_it_is_refused_before_anything_is_done(shared: Program, busybox_base: str) -> None:
    context = shared.context("refused", {"Dockerfile": f"FROM {busybox_base}\n{STEP}"})
    refused = shared.run("--root", shared.user.home / "untouched", "build", "--debug-on-failure", context)
    assert refused.returncode == 2
    assert refused.stderr.startswith("ocibuild: --debug-on-failure needs a terminal on standard input (")
    assert refused.stderr.count("\n") == 1
    assert not (shared.user.home / "untouched").exists()


def test_a_build_that_works_opens_no_shell(shared: Program, busybox_base: str) -> None:
    context = shared.context("works", {"Dockerfile": f"FROM {busybox_base}\nRUN true\n"})
    with build(shared, context) as screen:
        assert screen.ended() == 0
        assert "shell" not in screen.shown


@pytest.mark.parametrize(("end", "way"), ENDS)
def test_nothing_is_left_when_the_builder_or_its_terminal_goes_away(
    shared: Program, busybox_base: str, end: str, way: tuple[str, str]
) -> None:
    token = f"{LONG}{secrets.randbelow(10**6)}"
    context = shared.context("gone", {"Dockerfile": f"FROM {busybox_base}\n{STEP}"})
    with build(shared, *way, context) as screen:
        screen.until(PROMPT)
        screen.type(f"trap '' HUP TERM; sleep {token} &\n")
        wait_until(lambda: bool(processes_with(f"sleep\0{token}\0")))
        match end:
            case "killed":
                screen.process.kill()
            case "hangup":
                os.close(screen.fd)
            case _:
                screen.until(PROMPT)
                wait_until(lambda: screen.quiet(0.5))  # the shell asks the terminal something after its prompt
                screen.process.send_signal(signal.SIGTERM)
                assert screen.quiet(0.5)  # it is the shell's, which lets it pass
                screen.process.send_signal(signal.SIGTERM)
                assert screen.ended() == 1
                assert "  | failing\r\n" in screen.shown
        screen.process.wait(30)
        wait_until(lambda: not processes_with(f"sleep\0{token}\0"))
    if end == "killed":
        assert not mounts_below(shared.user.home)
        assert shared.try_build(context, *way).status == 1
    assert not left_by(shared)


@needs_root
def test_the_shell_is_opened_in_a_bare_chroot(busybox_base: str) -> None:
    be_root = "from tests.support.containers import be_root_of_container as be; import os, sys; be(); "
    before = (sys.executable, "-c", f"{be_root} os.execvp(sys.argv[1], sys.argv[1:])")
    mounts = "RUN --mount=type=cache,target=/cache echo cached > /cache/name; echo made > /here; exit 3\n"
    with program_of_root() as program:
        context = program.context("bare", {"Dockerfile": f"FROM {busybox_base}\nENV PS1='{PROMPT}'\n{mounts}"})
        environ = {"PYTHONPATH": str(CHECKOUT)}
        with build(program, "--executor", "chroot", context, before=before, environ=environ) as screen:
            screen.until(NOTICE)
            screen.until(PROMPT)
            screen.type("cat /here /cache/name; ls /proc; ls /dev\n")
            screen.until(r"made\r\ncached\r\n")
            exit_shell(screen)
        assert not left_by(program)
