from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocibuild.dockerfile.parser.lines import MAX_LINE, LineReader, LogicalLine, split_lines
from ocibuild.errors import DockerfileError, SourceRange
from tests.unit.dockerfile.conversion.helpers import refusal


def reader(data: bytes, escape: str = "\\", directives: int = 0) -> LineReader:
    return LineReader(split_lines(data), escape=escape, file="D", directives=directives)


def lines(data: bytes, escape: str = "\\", directives: int = 0) -> list[LogicalLine]:
    return list(iter(reader(data, escape, directives).next, None))


def texts(data: bytes, escape: str = "\\") -> list[str]:
    return [line.text for line in lines(data, escape)]


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
    ("crlf and a blank line inside", b"RUN a \\\r\n\r\nb\r\n", ["RUN a b"]),
    ("crlf and a comment inside", b"RUN a \\\r\n# c\r\nb\r\n", ["RUN a b"]),
    ("several carriage returns", b"RUN a\r\r\n", ["RUN a"]),
    ("carriage return inside", b"RUN a\rb\n", ["RUN a\rb"]),
    ("byte order mark later", b"RUN a\n\xef\xbb\xbfRUN b\n", ["RUN a", "\ufeffRUN b"]),
    ("vertical tab after the escape", b"RUN a \\\v\nRUN b\n", ["RUN a \\\v", "RUN b"]),
    ("escape alone last", b"RUN a\n\\\n", ["RUN a", ""]),
    ("hash first in a continued line", b"RUN a \\\n#b\nRUN c\n", ["RUN a RUN c"]),
    ("three escapes", b"RUN a\\\\\\\nRUN b\n", ["RUN a\\\\\\", "RUN b"]),
    ("other bytes", b"RUN \xe9\n", ["RUN \udce9"]),
]


@pytest.mark.parametrize(("data", "expected"), [row[1:] for row in LINES], ids=[row[0] for row in LINES])
def test_lines_are_joined_as_the_reference_says(data: bytes, expected: list[str]) -> None:
    assert texts(data) == expected


def test_the_escape_character_continues_lines() -> None:
    assert texts(b"RUN a `\n b\nRUN c\\\n", escape="`") == ["RUN a  b", "RUN c\\"]


def test_a_line_knows_where_it_stands() -> None:
    (first, second) = lines(b"# c\nRUN a \\\n\n  b\n\nRUN c\n")
    assert first.location == SourceRange("D", 2, 4, ("RUN a \\", "", "  b"))
    assert first.location.source == ("# c", "RUN a \\", "", "  b", "", "RUN c")
    assert first.blank_continuation
    assert str(second.location) == "D:6"
    assert not second.blank_continuation


COMMENTS = [
    ("one", b"# a\nRUN\n", ["a"]),
    ("several", b"# a\n#b\nRUN\n", ["a", "b"]),
    ("blank lines between", b"# a\n\n# b\n\nRUN\n", ["a", "b"]),
    ("an empty one forgets", b"# a\n#\n# b\nRUN\n", ["b"]),
    ("blanks around it", b"#  a \t\nRUN\n", ["a"]),
    ("an indented one keeps its hash", b"  # a\nRUN\n", ["# a"]),
    ("crlf", b"# a\r\nRUN\r\n", ["a"]),
    ("of the instruction before", b"# a\nRUN\nRUN\n", []),
    ("inside the instruction before", b"RUN \\\n# a\nb\nRUN\n", []),
]


@pytest.mark.parametrize(("data", "expected"), [row[1:] for row in COMMENTS], ids=[row[0] for row in COMMENTS])
def test_the_comments_above_an_instruction_are_kept(data: bytes, expected: list[str]) -> None:
    assert list(lines(data)[-1].comments) == expected


def test_a_directive_is_no_comment() -> None:
    assert lines(b"# escape=`\n# a\nRUN\n", directives=1)[0].comments == ("a",)


def test_an_instruction_holds_no_nul_and_reading_goes_on_after_it() -> None:
    found = reader(b"FROM a\nRUN a\0b\nRUN c\n")
    found.next()
    with pytest.raises(DockerfileError, match="NUL") as caught:
        found.next()
    assert caught.value.location is not None
    assert caught.value.location.first == 2
    assert found.next() is not None


@pytest.mark.parametrize("character", ["x", "\xe9", "\u20ac", "\U0001f600"], ids=["1", "2", "3", "4"])
def test_a_line_has_an_end(character: str) -> None:
    size = len(character.encode())
    longest = "#" * (MAX_LINE % size) + character * (MAX_LINE // size)
    assert len(longest.encode()) == MAX_LINE
    lines(f"RUN\n{longest}".encode())
    with pytest.raises(DockerfileError, match="more than 65535 bytes") as caught:
        lines(f"RUN\n{longest}x\n".encode())
    assert caught.value.location == SourceRange("D", 2, 2, (f"{longest}x",))


def test_a_document_ends_with_its_name_alone() -> None:
    found = reader(b"RUN\n a\\\n\n# b\r\nEOF \n\tEOF\nEOF\r\nRUN c\n")
    found.next()
    assert found.document("EOF", strip_tabs=False) == " a\\\n\n# b\r\nEOF \n\tEOF\n"
    assert found.since(1).last == 7
    assert found.document("EOF", strip_tabs=False) is None


def test_tabs_before_the_name_may_be_stripped() -> None:
    found = reader(b"\ta\n\t\tEOF\n")
    assert found.document("EOF", strip_tabs=True) == "\ta\n"


@pytest.mark.parametrize(
    "data",
    [
        b"RUN a\n" + b"\\\n" * 1_000_000,
        b"RUN " + (b"x" * 60_000 + b"\\\n") * 100,
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
