"""Values as docker's tables show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ocibuild.errors import without_passwords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SPANS = (("year", 365 * 86400), ("month", 30 * 86400), ("week", 7 * 86400), ("day", 86400), ("hour", 3600))


def printable(text: str) -> str:
    """Return ``text`` without control characters: it may be a stranger's, and this is a terminal."""
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
    then = _parse_time(created or "")
    if then is None:
        return "N/A"
    seconds = max(0, int(now - then))
    for name, span in _SPANS:
        if seconds >= 2 * span:
            return f"{seconds // span} {name}s ago"
    if seconds >= 3600:
        return "About an hour ago"
    if seconds >= 120:
        return f"{seconds // 60} minutes ago"
    if seconds >= 60:
        return "About a minute ago"
    if seconds >= 2:
        return f"{seconds} seconds ago"
    return "1 second ago" if seconds else "Less than a second ago"


def _parse_time(text: str) -> float | None:
    """Return seconds since 1970, None for no time, and for the year 1, which is how Go writes no time."""
    from datetime import UTC, datetime

    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time.replace(tzinfo=time.tzinfo or UTC).timestamp() if time.year > 1 else None


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], headings: Mapping[str, str]) -> str:
    """Return rows in aligned columns under upper-case headings, as docker does."""
    lines = [[headings.get(column, column.upper()) for column in columns]]
    lines += [[str(row[column]) for column in columns] for row in rows]
    widths = [max(len(line[number]) for line in lines) for number in range(len(columns))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
