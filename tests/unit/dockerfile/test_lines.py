from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocibuild.dockerfile.lines import logical_lines, split_lines
from ocibuild.errors import DockerfileError
from tests.unit.dockerfile.helpers import refusal


def texts(data: bytes, escape: str = "\\") -> list[str]:
    return [line.text for line in logical_lines(split_lines(data), escape=escape, file="D")]


LINES = [
    ("plain", b"RUN a\nRUN b\n", ["RUN a", "RUN b"]),
    ("no line end", b"RUN a", ["RUN a"]),
    ("empty", b"", []),
    ("blank lines", b"\n  \n\t\nRUN a\n\n", ["RUN a"]),
    ("comments", b"# c\nRUN a\n  # d\nRUN b\n", ["RUN a", "RUN b"]),
    ("hash inside", b"RUN a # b\n", ["RUN a # b"]),
    ("leading space", b"   RUN a  \n", ["RUN a  "]),
    ("continuation", b"RUN a \\\n  b\n", ["RUN a   b"]),
    ("continuation in a word", b"RUN a\\\nb\n", ["RUN ab"]),
    ("continuation with blanks after", b"RUN a \\ \t\n b\n", ["RUN a  b"]),
    ("three lines", b"RUN a\\\nb\\\nc\n", ["RUN abc"]),
    ("comment inside", b"RUN a \\\n# c\nb\n", ["RUN a b"]),
    ("indented comment inside", b"RUN a \\\n   # c \\\nb\n", ["RUN a b"]),
    ("blank line inside", b"RUN a \\\n\n  \nb\n", ["RUN a b"]),
    ("doubled escape is no continuation", b"RUN a\\\\\nRUN b\n", ["RUN a\\\\", "RUN b"]),
    ("escape alone on a line", b"RUN a \\\n\\\nb\n", ["RUN a b"]),
    ("continuation at the end", b"RUN a \\\n", ["RUN a "]),
    ("escape alone first", b"\\\nRUN a\n", ["RUN a"]),
    ("crlf", b"RUN a \\\r\n b\r\nRUN c\r\n", ["RUN a  b", "RUN c"]),
    ("byte order mark", b"\xef\xbb\xbfRUN a\n", ["RUN a"]),
    ("wrong bytes in a comment", b"# caf\xe9\nRUN a\n", ["RUN a"]),
    ("nbsp before", "\xa0RUN a\n".encode(), ["RUN a"]),
]


@pytest.mark.parametrize(("data", "expected"), [row[1:] for row in LINES], ids=[row[0] for row in LINES])
def test_lines_are_joined_as_the_reference_says(data: bytes, expected: list[str]) -> None:
    assert texts(data) == expected


def test_the_escape_character_continues_lines() -> None:
    assert texts(b"RUN a `\n b\nRUN c\\\n", escape="`") == ["RUN a  b", "RUN c\\"]


def test_a_line_knows_where_it_stands() -> None:
    (first, second) = logical_lines(split_lines(b"# c\nRUN a \\\n\n  b\n\nRUN c\n"), escape="\\", file="D")
    assert first.location == ("D", 2, 4, ("RUN a \\", "", "  b"))
    assert first.blank_continuation
    assert str(second.location) == "D:6"
    assert not second.blank_continuation


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"RUN \xff\n", "not valid UTF-8"), (b"RUN a\0b\n", "NUL")],
    ids=["latin-1", "nul"],
)
def test_an_instruction_must_be_text(data: bytes, message: str) -> None:
    with pytest.raises(DockerfileError, match=message) as caught:
        texts(b"FROM a\n" + data)
    assert caught.value.location is not None
    assert caught.value.location.first == 2


@pytest.mark.parametrize(
    "data",
    [
        b"RUN a\n" + b"\\\n" * 1_000_000,
        b"RUN " + b"x" * 5_000_000,
        b"#\n" * 1_000_000,
        b"RUN \\\n" + b" \n" * 1_000_000,
    ],
    ids=["a million continuations", "a long line", "a million comments", "a million blank lines"],
)
def test_hostile_files_take_linear_time(data: bytes) -> None:
    started = time.perf_counter()
    texts(data)
    assert time.perf_counter() - started < 5


@given(st.binary())
def test_any_bytes_give_lines_or_a_refusal(data: bytes) -> None:
    error = refusal(lambda: texts(data))
    assert error is None or error.location is not None
