"""What a user is told of a step that fails while others run: its own last words, once, and the lines around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.program import program_of_ordinary_user
from tests.support.screen import on_a_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.program import Program

STAGES = """\
FROM {base} AS one
RUN while echo noise from one; do usleep 1000; done
FROM {base} AS two
RUN while echo noise from two >&2; do usleep 1000; done
FROM {base} AS three
RUN sleep 1; seq 1 30; printf 'meter 1%%\\rmeter 100%%\\r\\n'; printf '\\033[31mred\\033[0m words\\n' >&2; exit 3
FROM {base}
COPY --from=one /x /
COPY --from=two /x /
COPY --from=three /x /
"""
LAST = [*(f"  | {number}" for number in range(13, 31)), "  | meter 100%", "  | red words"]


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    with program_of_ordinary_user() as program:
        yield program


@pytest.fixture(scope="module")
def context(program: Program, busybox_base: str) -> Path:
    return program.context("stages", {"Dockerfile": STAGES.format(base=busybox_base)})


def told(shown: str, context: Path) -> list[str]:
    """Return the lines of the error, which is the end of what is shown, but for the part about the process."""
    lines = shown.replace("\r\n", "\n").splitlines()
    begin = next(number for number, line in enumerate(lines) if "  | " in line)
    assert lines[begin] == LAST[0], lines[begin - 2 : begin + 2]
    place = begin + len(LAST)
    assert lines[place].startswith(f'ocibuild: {context}/Dockerfile:6: process "/bin/sh -c sleep 1; ')
    assert lines[place].endswith("did not complete successfully: exit code: 3")
    return [*lines[begin:place], *lines[place + 1 :]]


def expected(context: Path) -> list[str]:
    source = (context / "Dockerfile").read_text().splitlines()
    return [*LAST, *(f"{n:6} | {'>>>' if n == 6 else '   '} {source[n - 1]}" for n in range(4, 9))]


@pytest.mark.parametrize("progress", ["plain", "quiet", "rawjson"])
def test_the_error_has_the_last_words_of_the_failed_step_alone(program: Program, context: Path, progress: str) -> None:
    failed = program.run("build", "--jobs", "3", "--progress", progress, context)
    assert failed.returncode == 1
    assert told(failed.stderr, context) == expected(context)
    if progress == "plain":
        assert (failed.stderr.count("CANCELED\n"), failed.stderr.count(" ERROR: ")) == (2, 1)
    if progress == "quiet":
        assert failed.stderr.startswith(LAST[0])


def test_the_error_on_a_terminal_has_the_last_words_of_the_failed_step_alone(program: Program, context: Path) -> None:
    words = ("build", "--jobs", "3", "--progress", "tty", context)
    with on_a_terminal(program, *words, columns=200, environ={"TERM": "xterm"}) as screen:
        assert screen.ended() == 1
    *_, shown = screen.shown.split("\x1b[?25h")  # the display ends where the cursor is shown again
    assert told(shown, context) == expected(context)
    assert screen.shown.count(" => CANCELED [one 2/2]") == screen.shown.count(" => CANCELED [two 2/2]") == 1
    assert screen.shown.count(" => ERROR ") == 1
