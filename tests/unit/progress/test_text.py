from __future__ import annotations

import time

import pytest

from ocibuild.progress.text import LONGEST_LINE, Lines, duration, one_line, printable, size


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ümlaut, 漢字", "plain text, ümlaut, 漢字"),
        ("a\tb", "a\tb"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hgone", "gone"),
        ("\x1b]0;a new title\x07text", "text"),
        ("\x1b]8;;http://host\x1b\\link\x1b]8;;\x1b\\", "link"),
        ('\x1bP$q"p\x1b\\text', "text"),
        ("\x1bcreset", "reset"),
        ("\x1b(0graphics", "graphics"),
        ("\x9b31mred", "red"),
        ("\x9d0;title\x9ctext", "text"),
        ("half \x1b[12;", "half [12;"),
        ("string without end \x1b]0;x", "string without end ]0;x"),
        ("bell\x07, null\x00, backspace\x08, delete\x7f", "bell, null, backspace, delete"),
        ("one\u00a0space", "one space"),
        ("left \u202eright", "left right"),
        ("lone \udc9b31m surrogate", "lone 31m surrogate"),
    ],
    ids=[
        "plain", "tab", "colour", "clear", "title", "link", "device-string", "reset", "charset", "c1-csi", "c1-osc",
        "unfinished", "unfinished-string", "controls", "space", "bidi", "surrogate",
    ],
)  # fmt: skip
def test_only_printable_text_is_left(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("start", ["\x1b[", "\x1b]", "\x9d", "\x1b[0;", "\x1bP", "\x9b ", "\x1b "])
def test_unfinished_escapes_take_linear_time(start: str) -> None:
    began = time.perf_counter()
    printable(start * 100_000)
    assert time.perf_counter() - began < 5


def test_one_line_joins_the_lines_of_a_message() -> None:
    assert one_line("RUN make\n  &&\tmake\x1b[1m install\n") == "RUN make && make install"


@pytest.mark.parametrize(
    ("pieces", "lines", "rest"),
    [
        ([b"one\ntwo\n"], ["one", "two"], []),
        ([b"on", b"e\ntw", b"o"], ["one"], ["two"]),
        ([b"dos\r\n", b"dos\r", b"\n"], ["dos", "dos"], []),
        ([b"10%\r", b"20%\r", b"30%\n"], ["30%"], []),
        ([b"10%\r20%\r"], [], ["20%"]),
        ([b"10%\r", b"\r", b"20%"], [], ["20%"]),
        (["漢".encode()[:1], "漢".encode()[1:] + b"\n"], ["漢"], []),
        ([b"bad \xff\n", b"\xe6\xbc"], ["bad \ufffd"], ["\ufffd"]),
        ([b"\x1b[3", b"1mred\x1b[0m\n"], ["red"], []),
        ([b"\n\n"], ["", ""], []),
        ([b""], [], []),
    ],
    ids=[
        "whole", "pieces", "crlf", "restarts", "restarts-at-end", "returns", "split-char", "not-utf8", "split-escape",
        "empty-lines", "nothing",
    ],
)  # fmt: skip
def test_output_is_cut_into_lines(pieces: list[bytes], lines: list[str], rest: list[str]) -> None:
    cutter = Lines()
    assert [line for piece in pieces for line in cutter.feed(piece)] == lines
    assert cutter.flush() == rest
    assert cutter.flush() == []


def test_a_line_without_an_end_is_broken_and_nothing_of_it_is_lost() -> None:
    cutter = Lines()
    lines = [line for _ in range(100) for line in cutter.feed(b"x" * 1000)]
    assert {len(line) for line in lines} == {LONGEST_LINE}
    assert len("".join([*lines, *cutter.flush()])) == 100_000


def test_a_huge_whole_line_is_broken_too() -> None:
    lines = Lines().feed(b"x" * (2 * LONGEST_LINE + 1) + b"\n")
    assert [len(line) for line in lines] == [LONGEST_LINE, LONGEST_LINE, 1]


def test_the_unfinished_line_is_known_while_it_is_written() -> None:
    cutter = Lines()
    cutter.feed(b"done\nworking \x1b[1m50%\r")
    assert cutter.unfinished == "working 50%"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1.00kB"), (75_230_000, "75.23MB"), (8 * 10**9, "8.00GB"), (10**15, "1.00PB")],
)
def test_sizes_are_in_powers_of_a_thousand(count: int, text: str) -> None:
    assert size(count) == text


def test_durations_have_one_decimal_and_are_never_negative() -> None:
    assert [duration(1.25), duration(75), duration(-1)] == ["1.2s", "75.0s", "0.0s"]
