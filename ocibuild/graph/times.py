"""Spans of time as Go writes them, and moments."""

from __future__ import annotations

import re
import time
from functools import lru_cache

_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)", re.ASCII)
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_NANOSECONDS = 10**9


def parse_duration(text: str) -> float | None:
    """Return seconds for ``24h`` or ``1h30m``; None for what is no span of time."""
    total, place = 0.0, 0
    while place < len(text) and (part := _PART.match(text, place)):
        total += float(part[1]) * _SECONDS[part[2]]
        place = part.end()
    return total if text and place == len(text) else None


@lru_cache(maxsize=4096)
def parse_time(text: str | None) -> float | None:
    """Return seconds since 1970 for a time in RFC 3339, taken for UTC where it does not say.

    None for what is no time, and for the year 1, which is how Go writes that there is none.
    """
    from datetime import UTC, datetime

    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or UTC).timestamp() if found.year > 1 else None


def format_time(nanoseconds: int) -> str:
    """Return a time, in nanoseconds since 1970, in RFC 3339 as Go writes it, which other tools give back so."""
    seconds, rest = divmod(nanoseconds, 10**9)
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}{fraction}Z"


def parse_moment(text: str) -> int | None:
    """Return a moment in nanoseconds since 1970: so long ago, at a time in RFC 3339, or in seconds since 1970.

    None for what is neither.
    """
    if text.isascii() and text.isdigit():
        return int(text[:12]) * _NANOSECONDS
    if (ago := parse_duration(text)) is not None:
        return time.time_ns() - int(ago * _NANOSECONDS)
    at = parse_time(text)
    return None if at is None else int(at * _NANOSECONDS)
