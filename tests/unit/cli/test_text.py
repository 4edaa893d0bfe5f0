from __future__ import annotations

import pytest

from ocibuild.cli.text import age, size, table, utc

_NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0B"),
        (1, "1B"),
        (999, "999B"),
        (1000, "1kB"),
        (1234, "1.23kB"),
        (12_345, "12.3kB"),
        (123_456, "123kB"),
        (999_400, "999kB"),
        (999_999, "1MB"),
        (1_000_000, "1MB"),
        (74_800_000, "74.8MB"),
        (8_589_934_592, "8.59GB"),
        (1_500_000_000_000, "1.5TB"),
        (2_500_000_000_000_000, "2.5PB"),
    ],
)
def test_size_has_three_digits_as_docker_shows_it(count: int, expected: str) -> None:
    assert size(count) == expected


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        (None, "N/A"),
        ("", "N/A"),
        ("2023-11-14T22:13:20Z", "Less than a second ago"),
        ("2023-11-14T22:13:15Z", "5 seconds ago"),
        ("2023-11-14T22:13:19Z", "1 second ago"),
        ("2023-11-14T22:13:20.123456789Z", "Less than a second ago"),
        ("2023-11-14T22:12:15.9Z", "About a minute ago"),
        ("2023-11-14T22:00:00Z", "13 minutes ago"),
        ("2023-11-14T21:00:00Z", "About an hour ago"),
        ("2023-11-14T12:00:00Z", "10 hours ago"),
        ("2023-11-11T12:00:00Z", "3 days ago"),
        ("2023-10-20T12:00:00Z", "3 weeks ago"),
        ("2023-08-14T12:00:00+02:00", "3 months ago"),
        ("2020-11-14T12:00:00.5+02:00", "3 years ago"),
        ("0001-01-01T00:00:00Z", "N/A"),
        ("2033-11-14T22:13:20Z", "Less than a second ago"),
    ],
)
def test_age_is_how_docker_says_it(created: str | None, expected: str) -> None:
    assert age(created, _NOW) == expected


@pytest.mark.parametrize("created", ["yesterday", "2023-13-45T99:99:99Z", "Z", "0001-01-01T00:00:00Z"])
def test_a_time_that_is_none_spoils_no_table(created: str) -> None:
    assert age(created, _NOW) == "N/A"


def test_columns_are_aligned_and_none_is_narrower_than_ten() -> None:
    lines = [["NAME", "ID", "WHAT"], ["a", "1", ""], ["longer name", "2", "x"]]
    assert table(lines).splitlines() == [
        "NAME          ID        WHAT",
        "a             1",
        "longer name   2         x",
    ]


def test_a_table_without_rows_is_its_heading() -> None:
    assert table([["NAME"]]) == "NAME"


def test_a_time_is_shown_as_go_shows_it() -> None:
    assert utc("2023-11-14T23:13:20.5+01:00") == "2023-11-14 22:13:20 +0000 UTC"
    assert utc("0001-01-01T00:00:00Z") == utc(None) == "N/A"
