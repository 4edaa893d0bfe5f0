from __future__ import annotations

import pytest

from ocibuild.graph import Finished, Output, Stream, Transferred
from ocibuild.progress.rows import Row, Style, columns, cut, finished_row, running_rows, status_row, transfer_row
from ocibuild.progress.running import TAIL, RunningStep


def _step(label: str, *, lines: int = 0, transfers: int = 0) -> RunningStep:
    step = RunningStep(label, started=0.0)
    for number in range(lines):
        step.take(Output(1, Stream.STDOUT, f"{label} {number}\n".encode()))
    for number in range(transfers):
        step.transfers["downloading", str(number)] = Transferred(1, str(number), "downloading", number, transfers - 1)
    return step


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        (Row("short", Style.DONE, "1.2s"), "short           1.2s"),
        (Row("x" * 30, Style.DONE, "1.2s"), "x" * 12 + "... 1.2s"),
        (Row("x" * 30, Style.DONE), "x" * 16 + "..."),
        (Row("漢" * 30, Style.DONE, "1.2s"), "漢" * 6 + "... 1.2s"),
        (Row("a\tb", Style.DONE), "a       b"),
    ],
    ids=["short", "long", "no-time", "wide", "tab"],
)
def test_a_row_is_fitted_to_the_terminal(row: Row, shown: str) -> None:
    assert row.fitted(20) == shown


@pytest.mark.parametrize("width", range(1, 12))
def test_no_width_is_exceeded(width: int) -> None:
    for text in ("漢字漢字漢字", "abcdefghijkl", "a\u0301" * 12):
        assert columns(cut(text, width)) <= width
        assert columns(Row(text, Style.DONE, "123.4s").fitted(width)) <= width


def test_a_finished_step_says_how_it_ended() -> None:
    assert finished_row(Finished(1, "RUN a", 1.25)) == Row(" => RUN a", Style.DONE, "1.2s")
    assert finished_row(Finished(1, "RUN a", 0, cached=True)) == Row(" => CACHED RUN a", Style.DONE, "0.0s")
    cancelled = finished_row(Finished(1, "RUN a", 1, cancelled=True))
    assert cancelled == Row(" => CANCELED RUN a", Style.WARNING, "1.0s")
    failed = finished_row(Finished(1, "RUN a", 1, error="status\n1"))
    assert failed == Row(" => ERROR RUN a: status 1", Style.FAILED, "1.0s")


def test_a_transfer_has_a_bar_and_bytes() -> None:
    half = transfer_row(Transferred(1, "0a1b", "downloading", 5_000_000, 10_000_000))
    assert half.text == " => => downloading 0a1b"
    assert half.right == "[==========>         ]   5.00MB /  10.00MB"
    assert transfer_row(Transferred(1, "x", "unpacking", 0, 0)).right == f"[{'=' * 20}]       0B /       0B"
    assert transfer_row(Transferred(1, "x", "unpacking", 1500, None)).right == "1.50kB"


def test_a_running_step_shows_its_last_lines_and_the_unfinished_one() -> None:
    step = _step("make", lines=10)
    step.take(Output(1, Stream.STDERR, b"half"))
    rows = running_rows([step], 3.0, 40)
    assert rows[0] == Row(" => make", Style.RUNNING, "3.0s")
    assert [row.text for row in rows[1:]] == [f" => => # make {n}" for n in range(5, 10)] + [" => => # half"]


@pytest.mark.parametrize("height", [1, 2, 3, 5, 10, 40])
@pytest.mark.parametrize("count", [1, 3, 30])
def test_running_steps_never_take_more_than_their_height(height: int, count: int) -> None:
    steps = [_step(str(number), lines=20, transfers=4) for number in range(count)]
    rows = running_rows(steps, 0.0, height)
    assert len(rows) <= height
    assert sum(row.style is Style.RUNNING for row in rows) == min(count, height)


def test_unfinished_transfers_come_first_where_room_is_short() -> None:
    step = _step("pull", transfers=4)
    step.transfers["downloading", "0"] = Transferred(1, "0", "downloading", 3, 3)
    rows = running_rows([step], 0.0, 3)
    assert [row.text for row in rows] == [" => pull", " => => downloading 1", " => => downloading 2"]


def test_the_status_says_how_it_ended() -> None:
    assert status_row("build", 1.0, 3, failed=False, over=False).text == "[+] build (3 done)"
    assert status_row("build", 1.0, 3, failed=False, over=True).text == "[+] build FINISHED (3 done)"
    assert status_row("build", 1.0, 3, failed=True, over=True).text == "[+] build FAILED (3 done)"


def test_the_tail_is_bounded() -> None:
    assert len(_step("a", lines=100).tail()) == TAIL
