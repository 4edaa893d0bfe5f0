from __future__ import annotations

import pytest

from ocibuild.graph import format_time


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_500_000_000, "1970-01-01T00:00:01.5Z"),
        (1_795_231_425_203_770_660, "2026-11-21T03:23:45.20377066Z"),
        (1_795_231_425_000_000_001, "2026-11-21T03:23:45.000000001Z"),
    ],
    ids=["whole", "half", "trailing-zero", "last-digit"],
)
def test_times_are_written_as_go_writes_them(nanoseconds: int, text: str) -> None:
    assert format_time(nanoseconds) == text
