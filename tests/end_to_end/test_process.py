"""ocibuild as a process among others: its signals, streams, locale and exit statuses."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.support.program import Program

TEXT = "FROM {base}\nRUN echo made > /made\n"


@pytest.fixture(scope="module")
def context(shared: Program, busybox_base: str) -> Path:
    """Build the image ``process:1``, and return its context."""
    folder = shared.context("process", {"Dockerfile": TEXT.format(base=busybox_base)})
    shared.check("build", "-q", "-t", "process:1", folder)
    return folder


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        (["nothing-of-the-kind"], 127, "nothing-of-the-kind: executable file not found in $PATH"),
        (["/no/such/program"], 127, "/no/such/program: No such file or directory"),
        (["/etc/passwd"], 126, "/etc/passwd: Permission denied"),
        (["sh", "-c", "exit 42"], 42, ""),
        (["sh", "-c", "kill -9 $$; (kill -9 1); exit 7"], 7, ""),
    ],
    ids=["unknown", "absent", "no-program", "own-status", "first-process-survives"],
)
def test_run_has_the_status_that_docker_gives(
    shared: Program, context: Path, command: list[str], status: int, message: str
) -> None:
    result = shared.run("run", "process:1", *command)
    assert result.returncode == status
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == (1 if message else 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=["TERM", "INT", "HUP"])
def test_run_passes_signals_on(shared: Program, context: Path, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo got {name}; exit 9' {name}; echo ready; sleep 100 & wait"
    process = shared.start("run", "process:1", "sh", "-c", script)
    out = _until_ready(process)
    process.send_signal(number)
    rest, _ = process.communicate(timeout=30)
    assert (out + rest, process.returncode) == (f"ready\ngot {name}\n", 9)


def test_the_second_signal_kills_a_process_that_does_not_listen(shared: Program, context: Path) -> None:
    process = shared.start("run", "process:1", "sh", "-c", "trap '' TERM; echo ready; sleep 100; sleep 100")
    _until_ready(process)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGKILL


def _until_ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_a_build_that_is_terminated_says_so(shared: Program, context: Path, busybox_base: str) -> None:
    folder = shared.context("terminated", {"Dockerfile": f"FROM {busybox_base}\nRUN echo ready; sleep 100\n"})
    process = shared.user.start("sh", "-c", 'exec ocibuild build --progress plain "$1" 2>&1', "sh", folder)
    assert process.stdout is not None
    while not process.stdout.readline().endswith(" ready\n"):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 143
    assert [line for line in rest.splitlines() if line.startswith("ocibuild")] == ["ocibuild: terminated"]
    assert "exit code" not in rest


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"], ids=["in", "out", "err", "all"])
def test_closed_streams_fail_no_build(shared: Program, context: Path, closed: str) -> None:
    script = f'"$1" build --no-cache -t closed:1 "$2" {closed}'
    result = shared.user.run(
        "sh", "-c", script, "sh", shared.user.run("which", "ocibuild").stdout.strip(), str(context)
    )
    assert result.returncode == 0, result.stderr
    assert shared.check("run", "closed:1", "cat", "/made") == "made\n"


def test_names_are_utf8_whatever_the_locale(shared: Program, busybox_base: str) -> None:
    folder = shared.context("locale", {"Dockerfile": f"FROM {busybox_base}\nRUN touch /nün\n"})
    ascii_alone = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = shared.run("build", "-q", "-t", "locale:1", folder, environ=ascii_alone)
    assert result.returncode == 0, result.stderr
    assert shared.check("run", "locale:1", "sh", "-c", "echo /n*n | od -An -tx1").split() == [
        "2f",
        "6e",
        "c3",
        "bc",
        "6e",
        "0a",
    ]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["-o", "type=oci,dest=/no/such/folder/x.tar"], 1, "there is no folder /no/such/folder"),
        (["-o", "type=oci,dest=/proc"], 1, "/proc: is a folder"),
        (["--iidfile", "/no/such/folder/id"], 1, "there is no folder /no/such/folder"),
        (["--push"], 2, "an image without a name cannot be pushed"),
        (["--build-arg", "=1"], 2, "--build-arg =1: not NAME=VALUE"),
    ],
    ids=["folder", "is-a-folder", "iidfile", "push", "build-arg"],
)
def test_what_cannot_be_written_is_refused_before_anything_runs(
    shared: Program, busybox_base: str, words: list[str], status: int, message: str
) -> None:
    folder = shared.context("before", {"Dockerfile": f"FROM {busybox_base}\nRUN echo this runs\n"})
    built = shared.try_build(folder, "--no-cache", *words)
    assert built.status == status
    assert message in built.errors[0]
    assert not built.steps


def test_without_a_command_there_is_help(shared: Program) -> None:
    result = shared.run()
    assert result.returncode == 2
    assert result.stderr.startswith("Usage: ocibuild [OPTIONS] COMMAND [ARGS]...\n\n")


def test_a_build_that_waits_for_another_can_be_interrupted(shared: Program, busybox_base: str) -> None:
    folder = shared.context("waiting", {"Dockerfile": f"FROM {busybox_base}\nRUN echo ready; sleep 100\n"})
    words = ("sh", "-c", 'exec ocibuild build --no-cache --progress plain "$1" 2>&1', "sh", folder)
    first, second = shared.user.start(*words), shared.user.start(*words)
    try:
        outputs = [process.stdout for process in (first, second)]
        for output in outputs:
            assert output is not None
            said = ""
            while "RUN echo" not in said:
                line = output.readline()
                assert line, said
                said += line
        time.sleep(0.5)
        for process in (second, first):
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=10) == 130
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()
