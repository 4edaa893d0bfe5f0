"""Values as docker's tables show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ocibuild.errors import without_passwords

if TYPE_CHECKING:
    from collections.abc import Sequence

_GAP = 3
_NARROWEST = 10
_SPANS = (("year", 365 * 86400), ("month", 30 * 86400), ("week", 7 * 86400), ("day", 86400), ("hour", 3600))


def printable(text: str) -> str:
    """Return ``text`` without control characters: it may be a stranger's, and this is a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in text)


def shown_inputs(value: Any) -> Any:
    """Return what a cache key is of, as anybody may read it: without the passwords of web addresses."""
    match value:
        case str():
            return without_passwords(value)
        case list() | tuple():
            return [shown_inputs(one) for one in value]
        case dict():
            return {name: shown_inputs(one) for name, one in value.items()}
        case _:
            return value


def size(count: int) -> str:
    """Return bytes with three digits and a decimal unit: ``1.23MB``."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5:  # what rounds to 1000 is 1 of the next unit
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}PB"


def age(created: str | None, now: float) -> str:
    """Return how long ago a time in RFC 3339 was: ``3 days ago``; ``N/A`` where there is none."""
    from ocibuild.graph import parse_time  # the texts of errors need nothing of it

    then = parse_time(created)
    return "N/A" if then is None else f"{span(int(now - then))} ago"


def span(seconds: int) -> str:
    """Return a span of time as docker says it: ``About an hour``, ``3 days``."""
    for name, length in _SPANS:
        if seconds >= 2 * length:
            return f"{seconds // length} {name}s"
    if seconds >= 3600:
        return "About an hour"
    if seconds >= 120:
        return f"{seconds // 60} minutes"
    if seconds >= 60:
        return "About a minute"
    if seconds >= 2:
        return f"{seconds} seconds"
    return "1 second" if seconds == 1 else "Less than a second"


def utc(created: str | None) -> str:
    """Return a time in RFC 3339 as Go shows it: ``2023-11-14 22:13:20 +0000 UTC``; ``N/A`` where there is none."""
    import time

    from ocibuild.graph import parse_time  # the texts of errors need nothing of it

    then = parse_time(created)
    return "N/A" if then is None else time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime(then))


def table(lines: Sequence[Sequence[str]]) -> str:
    """Return cells in aligned columns, as docker does: three spaces apart, and no column narrower than ten."""
    columns = max(map(len, lines), default=0)
    widths = [
        max(_NARROWEST, max(len(line[number]) for line in lines if number < len(line)) + _GAP)
        for number in range(columns)
    ]
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)).rstrip() for line in lines
    )
