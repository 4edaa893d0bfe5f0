"""``run -it``: a terminal of the process's own, shown on ours, and nothing left when either goes away."""

from __future__ import annotations

import os
import signal
import termios
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import processes_with, wait_until
from tests.support.screen import on_a_terminal

if TYPE_CHECKING:
    from tests.support.program import Program

_SECONDS = 30
_LONG = 100_000 + os.getpid()  # seconds, that no other test sleeps
_PROMPT = "ready> "


@pytest.fixture(scope="module")
def image(shared: Program, busybox_base: str) -> str:
    text = f"FROM {busybox_base}\nENV PS1='{_PROMPT}'\nRUN true\n"
    shared.check("build", "-q", "-t", "terminal:1", shared.context("terminal", {"Dockerfile": text}))
    return "terminal:1"


def test_a_shell_has_a_terminal_of_its_own(shared: Program, image: str) -> None:
    with on_a_terminal(shared, "run", "-it", image, "sh") as screen:
        before = screen.settings
        screen.until(_PROMPT)
        raw = screen.settings
        screen.type("tty; stty size; echo term=$TERM\n")
        screen.until(r"/dev/pts/0\r\n30 90\r\nterm=xterm\r\n")
        screen.type("echo on the console > /dev/console; echo to the terminal > /dev/tty\n")
        screen.until(r"on the console\r\n")
        screen.until(r"to the terminal\r\n")
        screen.type("exit 7\n")
        assert screen.ended() == 7
        assert screen.settings == before != raw


def test_keys_are_signals_of_the_step_and_its_shell_controls_jobs(shared: Program, image: str) -> None:
    with on_a_terminal(shared, "run", "-it", image, "sh") as screen:
        screen.until(_PROMPT)
        screen.type(f"sleep {_LONG}1\n")
        wait_until(lambda: bool(processes_with(f"sleep\0{_LONG}1\0")))
        screen.type("\x03")
        screen.until(_PROMPT)
        screen.type(f"sleep {_LONG}2\n")
        wait_until(lambda: bool(processes_with(f"sleep\0{_LONG}2\0")))
        screen.type("\x1a")
        screen.until("Stopped")
        screen.type("kill -9 %1; wait; echo over\n")
        screen.until(r"\nover\r\n")
        screen.type("exit 0\nexit 0\n")  # the first may only warn of the job, where its end is not noticed yet
        assert screen.ended() == 0


def test_its_size_follows_ours(shared: Program, image: str) -> None:
    script = "trap 'stty size' WINCH; echo begun; while :; do sleep 0.1; done"
    with on_a_terminal(shared, "run", "-it", image, "sh", "-c", script) as screen:
        screen.until(r"begun\r\n")
        termios.tcsetwinsize(screen.fd, (20, 41))
        screen.until(r"20 41\r\n")
        screen.process.send_signal(signal.SIGTERM)
        screen.process.send_signal(signal.SIGTERM)


def test_the_terminal_is_the_users(shared: Program, image: str) -> None:
    script = "test -O $(tty) && echo hello > $(tty) && id -u"
    with on_a_terminal(shared, "run", "-it", "-u", "1000:1000", image, "sh", "-c", script) as screen:
        assert screen.ended() == 0
        assert screen.shown == "hello\r\n1000\r\n"


def test_all_output_arrives_before_the_end(shared: Program, image: str) -> None:
    with on_a_terminal(shared, "run", "-it", image, "seq", "20000") as screen:
        assert screen.ended() == 0
        assert screen.shown.split() == [str(number) for number in range(1, 20001)]


@pytest.mark.parametrize("command", [["/no/such/program"], ["sh", "-c", "exit 3"]], ids=["no-program", "status"])
def test_the_terminal_is_as_it_was_whatever_the_end(shared: Program, image: str, command: list[str]) -> None:
    with on_a_terminal(shared, "run", "-it", image, *command) as screen:
        before = screen.settings
        assert screen.ended() == (127 if len(command) == 1 else 3)
        assert screen.settings == before
        assert ("No such file" in screen.shown) == (len(command) == 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=["TERM", "INT", "HUP"])
def test_signals_of_ocibuild_are_the_steps_and_the_second_ends_it(
    shared: Program, image: str, number: signal.Signals
) -> None:
    script = f"trap 'echo got it' {number.name.removeprefix('SIG')}; echo begun; while :; do sleep 0.1; done"
    with on_a_terminal(shared, "run", "-it", image, "sh", "-c", script) as screen:
        before = screen.settings
        screen.until(r"begun\r\n")
        screen.process.send_signal(number)
        screen.until(r"got it\r\n")
        screen.process.send_signal(number)
        assert screen.ended() == 128 + signal.SIGKILL
        assert screen.settings == before


@pytest.mark.parametrize("end", ["hangup", "killed"])
def test_nothing_is_left_when_the_terminal_or_the_builder_goes_away(shared: Program, image: str, end: str) -> None:
    script = f"trap '' HUP; sleep {_LONG}3 & echo begun; while :; do sleep 1; done"
    with on_a_terminal(shared, "run", "-it", image, "sh", "-c", script) as screen:
        screen.until(r"begun\r\n")
        wait_until(lambda: bool(processes_with(f"sleep\0{_LONG}3\0")))
        if end == "hangup":
            os.close(screen.fd)
        else:
            screen.process.kill()
        screen.process.wait(_SECONDS)
        wait_until(lambda: not processes_with(f"sleep\0{_LONG}3\0"))


def test_a_terminal_without_input_is_not_raw(shared: Program, image: str) -> None:
    script = "trap 'echo got it' INT; tty; while :; do sleep 0.1; done"
    with on_a_terminal(shared, "run", "-t", image, "sh", "-c", script) as screen:
        before = screen.settings
        screen.until(r"/dev/pts/0\r+\n")
        assert screen.settings == before
        screen.type("\x03")  # a signal to ocibuild: its terminal is as any
        screen.until(r"got it\r+\n")
        screen.type("\x03")
        assert screen.ended() == 128 + signal.SIGKILL


def test_input_and_a_terminal_are_what_docker_makes_of_them(shared: Program, image: str) -> None:
    assert shared.check("run", "-i", image, "cat", stdin="typed\n") == "typed\n"
    assert shared.check("run", image, "cat", stdin="typed\n") == ""
    refused = shared.run("run", "-it", image, "true", stdin="")
    assert refused.returncode == 2
    assert refused.stderr.startswith("ocibuild: the input device is not a TTY")
    assert shared.check("run", "-t", image, "tty", stdin="typed\n") == "/dev/pts/0\n"
    assert shared.run("run", "-i", image, "tty", stdin="").stdout == "not a tty\n"
