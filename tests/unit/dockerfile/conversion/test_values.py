"""Small tables for the small modules: durations, ports, signals, paths, and Go's way to print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocibuild.dockerfile.conversion import paths
from ocibuild.dockerfile.conversion.goformat import plain_list, quote, quote_list, quote_rune
from ocibuild.dockerfile.conversion.ports import parse_ports
from ocibuild.dockerfile.conversion.signals import check_signal
from ocibuild.dockerfile.parser.durations import format_duration, parse_duration
from ocibuild.dockerfile.suggest import did_you_mean, nearest
from ocibuild.errors import DockerfileError

DURATIONS = [
    ("0", 0, "0s"),
    ("0s", 0, "0s"),
    ("1ns", 1, "1ns"),
    ("1500ns", 1_500, "1.5\u00b5s"),
    ("5us", 5_000, "5\u00b5s"),
    ("500ms", 500_000_000, "500ms"),
    ("1.5s", 1_500_000_000, "1.5s"),
    (".5s", 500_000_000, "500ms"),
    ("5.s", 5_000_000_000, "5s"),
    ("30s", 30_000_000_000, "30s"),
    ("5m", 300_000_000_000, "5m0s"),
    ("1m30s", 90_000_000_000, "1m30s"),
    ("1h", 3_600_000_000_000, "1h0m0s"),
    ("1h2m3.5s", 3_723_500_000_000, "1h2m3.5s"),
    ("+3s", 3_000_000_000, "3s"),
    ("1.000001s", 1_000_001_000, "1.000001s"),
]


@pytest.mark.parametrize(("text", "nanoseconds", "printed"), DURATIONS, ids=[row[0] for row in DURATIONS])
def test_durations_are_read_and_printed_as_go_does(text: str, nanoseconds: int, printed: str) -> None:
    assert parse_duration(text) == nanoseconds
    assert format_duration(nanoseconds) == printed


@pytest.mark.parametrize("text", ["", "5", "s", ".s", "1x", "1 s", "-", "1e3s", "9999999h", "1s" * 40, "٣s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(DockerfileError, match="invalid duration"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=(1 << 63) - 1))
def test_a_printed_duration_reads_back(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


PORTS = [
    ("80", ("80/tcp",)),
    ("0", ("0/tcp",)),
    ("0080", ("80/tcp",)),
    ("+80-+81", ("80/tcp", "81/tcp")),
    ("80/", ("80/tcp",)),
    ("80/udp", ("80/udp",)),
    ("80/UDP", ("80/udp",)),
    ("80/sctp", ("80/sctp",)),
    ("90-92", ("90/tcp", "91/tcp", "92/tcp")),
    ("90-90/udp", ("90/udp",)),
    ("80:90", ("90/tcp",)),
    ("127.0.0.1:80:90", ("90/tcp",)),
    ("127.0.0.1::90", ("90/tcp",)),
    ("[::1]:80:90", ("90/tcp",)),
    ("1-2:8-9", ("8/tcp", "9/tcp")),
    ("65535", ("65535/tcp",)),
]


@pytest.mark.parametrize(("text", "expected"), PORTS, ids=[row[0] for row in PORTS])
def test_ports_get_a_protocol_and_ranges_are_spelt_out(text: str, expected: tuple[str, ...]) -> None:
    assert parse_ports(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "/tcp", "65536", "abc", "80/foo", "90-80", "1-2-3", "-1", "++1", "1-2:3-5", "x:80", "300.1.1.1:1:1", "80 81"],
)
def test_a_wrong_port_is_refused(text: str) -> None:
    with pytest.raises(DockerfileError, match=r"port|protocol|address"):
        parse_ports(text)


@pytest.mark.parametrize(
    "signal", ["SIGTERM", "TERM", "sigusr1", "9", "-1", "99", "RTMIN+3", "SIGRTMAX-14", "SIGRTMIN"]
)
def test_a_signal_has_a_name_or_a_number(signal: str) -> None:
    check_signal(signal)


@pytest.mark.parametrize("signal", ["FOO", "0", "", "SIG", "RTMIN+16", "SIGTERMM", "9x"])
def test_a_wrong_signal_is_refused(signal: str) -> None:
    with pytest.raises(DockerfileError, match="invalid signal"):
        check_signal(signal)


CLEAN = [
    ("", "/"),
    ("/", "/"),
    ("//", "/"),
    ("a", "/a"),
    ("/a/", "/a"),
    ("/a//b/./c", "/a/b/c"),
    ("/a/../b", "/b"),
    ("../x", "/x"),
    ("/../../x/..", "/"),
    ("...", "/..."),
]


@pytest.mark.parametrize(("path", "expected"), CLEAN, ids=[repr(row[0]) for row in CLEAN])
def test_a_clean_path_is_absolute_and_stays_below_the_root(path: str, expected: str) -> None:
    assert paths.clean(path) == expected


DESTINATIONS = [
    ("/w", "a", "/w/a"),
    ("/w", ".", "/w/"),
    ("/w", "", "/w/"),
    ("/w", "./", "/w/"),
    ("/w", "..", "/"),
    ("/w/v", "..", "/w"),
    ("/w/v", "../", "/w/"),
    ("/w", "a/", "/w/a/"),
    ("/w", "a/.", "/w/a/"),
    ("/w", "/a", "/a"),
    ("/w", "/a//b/", "/a/b/"),
    ("/w", "/", "/"),
    ("/w", "/../a", "/a"),
    ("", "a", "/a"),
    ("/", ".", "/"),
]


@pytest.mark.parametrize(("directory", "path", "expected"), DESTINATIONS, ids=[f"{d}+{p}" for d, p, _ in DESTINATIONS])
def test_a_destination_keeps_its_slash(directory: str, path: str, expected: str) -> None:
    assert paths.destination(directory, path) == expected


SOURCES = [("a", "a"), ("/a", "a"), (".", "."), ("/", "."), ("../x", "x"), ("a/../../b/", "b"), ("a/*.go", "a/*.go")]


@pytest.mark.parametrize(("path", "expected"), SOURCES, ids=[row[0] for row in SOURCES])
def test_a_source_cannot_leave_its_tree(path: str, expected: str) -> None:
    assert paths.source(path) == expected


def test_an_absolute_working_directory_is_kept_as_written() -> None:
    assert paths.working_dir("/a", "/x//y/") == "/x//y/"
    assert paths.working_dir("/a//", "b/../c/") == "/a/c"
    assert paths.working_dir("/a", "") == "/a"


QUOTES = [
    ("", '""'),
    ("a b", '"a b"'),
    ('a"b\\', '"a\\"b\\\\"'),
    ("\n\t\r\a\b\f\v", '"\\n\\t\\r\\a\\b\\f\\v"'),
    ("\x01\x7f", '"\\x01\\x7f"'),
    ("é😀", '"é😀"'),
    ("\u2028\u00a0", '"\\u2028\\u00a0"'),
    ("\U000e0001", '"\\U000e0001"'),
    ("'", '"\'"'),
]


@pytest.mark.parametrize(("text", "expected"), QUOTES, ids=[ascii(row[0]) for row in QUOTES])
def test_a_string_is_quoted_as_go_does(text: str, expected: str) -> None:
    assert quote(text) == expected


RUNES = [(0, "'\\x00'"), (3, "'\\x03'"), (10, "'\\n'"), (39, "'\\''"), (34, "'\"'"), (65, "'A'"), (0xD800, "'\ufffd'")]


@pytest.mark.parametrize(("number", "expected"), [*RUNES, (1 << 30, "'\ufffd'")], ids=str)
def test_a_number_is_quoted_as_a_character(number: int, expected: str) -> None:
    assert quote_rune(number) == expected


def test_lists_are_printed_as_go_does() -> None:
    assert quote_list(["a", "b c"]) == '["a" "b c"]'
    assert quote_list([]) == "[]"
    assert plain_list(["a", "b c"]) == "[a b c]"


def test_the_nearest_word_is_found() -> None:
    assert nearest("rnu", ["RUN", "FROM"]) == "RUN"
    assert nearest("x" * 1_000_000, ["RUN"]) is None
    assert nearest("zzz", ["RUN"]) is None
    assert did_you_mean("form", ["from"], prefix="--") == "did you mean --from?"
    assert did_you_mean("zzz", ["from"]) is None
