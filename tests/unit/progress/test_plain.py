from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.graph import Finished, Noted, Output, Started, Stream, Transferred, Warned
from ocibuild.progress.plain import PlainView

if TYPE_CHECKING:
    from ocibuild.graph import Event


def _shown(*events: tuple[float, Event], title: str = "", end: float = 99.0) -> list[str]:
    written: list[str] = []
    view = PlainView(written.append, title)
    for at, event in events:
        view.show(event, at)
        view.draw(at)
    view.close(end)
    assert all(chunk.endswith("\n") for chunk in written)
    return "".join(written).splitlines()


def _out(step: int, text: bytes, stream: Stream = Stream.STDOUT) -> Output:
    return Output(step, stream, text)


def test_a_step_looks_as_it_does_in_buildkit() -> None:
    assert _shown(
        (10.0, Started(5, "[2/4] RUN make")),
        (10.123, _out(5, b"compiling\n")),
        (22.5, _out(5, b"linking\n")),
        (130.04, _out(5, b"late\n")),
        (131.0, Finished(5, "[2/4] RUN make", 121.04)),
        title="building",
    ) == [
        "#0 building",
        "",
        "#5 [2/4] RUN make",
        "#5 0.123 compiling",
        "#5 12.50 linking",
        "#5 120.0 late",
        "#5 DONE 121.0s",
        "",
    ]


def test_a_cached_step_is_two_lines_even_where_it_never_started() -> None:
    expected = ["#1 [1/2] FROM alpine", "#1 CACHED", ""]
    finished = Finished(1, "[1/2] FROM alpine", 0.0, cached=True)
    assert _shown((0, Started(1, "[1/2] FROM alpine")), (0, finished)) == expected
    assert _shown((0, finished)) == expected


def test_an_error_is_one_line() -> None:
    lines = _shown((0, Started(1, "RUN false")), (1, Finished(1, "RUN false", 1.0, error="exit\nstatus \x1b[31m1")))
    assert lines == ["#1 RUN false", "#1 ERROR: exit status 1", ""]


def test_a_step_that_was_cancelled_is_no_error() -> None:
    lines = _shown((0, Started(1, "RUN true")), (1, Finished(1, "RUN true", 1.0, cancelled=True)))
    assert lines == ["#1 RUN true", "#1 CANCELED", ""]


def test_lines_of_two_steps_keep_their_numbers_and_are_never_mixed() -> None:
    lines = _shown(
        (0, Started(1, "a")),
        (0, Started(2, "b")),
        (1, _out(1, b"one ")),
        (1, _out(2, b"two ")),
        (2, _out(1, b"ONE\n")),
        (2, _out(2, b"TWO\n")),
    )
    assert lines == ["#1 a", "#2 b", "#1 2.000 one ONE", "#2 2.000 two TWO"]


def test_the_two_streams_of_a_step_are_never_mixed() -> None:
    lines = _shown((0, Started(1, "a")), (1, _out(1, b"out ")), (1, _out(1, b"err\n", Stream.STDERR)))
    assert lines == ["#1 a", "#1 1.000 err", "#1 99.00 out"]


def test_a_line_without_an_end_comes_before_the_end_of_its_step() -> None:
    lines = _shown((0, Started(1, "a")), (1, _out(1, b"half")), (2, Finished(1, "a", 2.0)))
    assert lines == ["#1 a", "#1 2.000 half", "#1 DONE 2.0s", ""]


def test_a_hostile_step_sends_no_escape_sequence_and_no_line_of_another_step() -> None:
    lines = _shown(
        (0, Started(1, "[1/1] RUN \x1b]0;title\x07x\n#2 DONE")),
        (1, _out(1, b"\x1b[2J\x1b[1;1H\x9b31mowned\x85#9 DONE\r#9 CACHED\n")),
        (1, Transferred(1, "\x1b[31mitem\n", "get\x1bcting", 1, None)),
        (2, Warned("careful\n\x1b[5m#3 DONE")),
    )
    assert lines == [
        "#1 [1/1] RUN x #2 DONE",
        "#1 1.000 #9 CACHED",
        "#1 getting item 1B",
        "WARNING: careful #3 DONE",
    ]


def test_an_empty_line_has_no_trailing_space() -> None:
    assert _shown((0, Started(1, "a")), (0, _out(1, b"\n"))) == ["#1 a", "#1 0.000"]


def test_a_transfer_is_a_line_at_its_start_and_end_and_every_five_seconds() -> None:
    events = [(float(at), Transferred(1, "0a1b2c", "downloading", at * 10_000_000, 120_000_000)) for at in range(13)]
    assert _shown((0, Started(1, "FROM a")), *events) == [
        "#1 FROM a",
        "#1 downloading 0a1b2c 0B / 120.00MB",
        "#1 downloading 0a1b2c 50.00MB / 120.00MB",
        "#1 downloading 0a1b2c 100.00MB / 120.00MB",
        "#1 downloading 0a1b2c 120.00MB / 120.00MB done",
    ]


def test_the_last_state_of_a_transfer_of_unknown_size_is_shown_with_the_end_of_its_step() -> None:
    events = [(0.1 * at, Transferred(1, "f", "downloading", at, None)) for at in range(5)]
    lines = _shown((0, Started(1, "ADD")), *events, (1, Finished(1, "ADD", 1.0)))
    assert lines == ["#1 ADD", "#1 downloading f 0B", "#1 downloading f 4B", "#1 DONE 1.0s", ""]


def test_a_note_is_one_line_of_its_step_without_a_time() -> None:
    note = Noted(2, "not cached: ENV A: 1\nto \x1b[31m2")
    lines = _shown((0, Started(2, "RUN make")), (1, note), (2, Finished(2, "RUN make", 2.0)))
    assert lines == ["#2 RUN make", "#2 not cached: ENV A: 1 to 2", "#2 DONE 2.0s", ""]
