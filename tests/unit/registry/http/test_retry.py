from __future__ import annotations

import pytest

from ocibuild.registry.http.retry import Retries, RetryPolicy, parse_retry_after

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        (" 12 ", 12),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("٣", None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str, seconds: float | None) -> None:
    assert parse_retry_after(header, now=NOW) == seconds


def test_pauses_grow_and_end() -> None:
    pauses: list[float] = []
    retries = Retries(RetryPolicy(attempts=5, first=1, factor=2, longest=5), pauses.append)
    while retries.wait():
        pass
    assert len(pauses) == 4
    for pause, expected in zip(pauses, [1, 2, 4, 5], strict=True):
        assert 0.75 * expected <= pause <= 1.25 * expected


def test_what_the_registry_asks_for_is_obeyed_exactly() -> None:
    pauses: list[float] = []
    assert Retries(RetryPolicy(), pauses.append).wait("7")
    assert pauses == [7]


def test_a_registry_that_asks_for_too_long_is_given_up() -> None:
    pauses: list[float] = []
    assert not Retries(RetryPolicy(obeyed=60), pauses.append).wait("61")
    assert pauses == []
