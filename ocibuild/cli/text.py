"""Values as docker's tables show them."""

from __future__ import annotations

import calendar
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SPANS = (("year", 365 * 86400), ("month", 30 * 86400), ("week", 7 * 86400), ("day", 86400), ("hour", 3600))


def size(count: int) -> str:
    """Return bytes with three digits and a decimal unit: ``1.23MB``."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}TB"


def age(created: str | None, now: float) -> str:
    """Return how long ago a time in RFC 3339 was: ``3 days ago``; empty where there is none."""
    if not created:
        return "N/A"
    seconds = max(0, int(now - _parse_time(created)))
    for name, span in _SPANS:
        if seconds >= 2 * span:
            return f"{seconds // span} {name}s ago"
    if seconds >= 120:
        return f"{seconds // 60} minutes ago"
    if seconds >= 60:
        return "About a minute ago"
    return "Less than a second ago" if seconds < 1 else f"{seconds} second{'s' if seconds > 1 else ''} ago"


def _parse_time(text: str) -> float:
    from datetime import datetime

    whole, _, rest = text.partition(".")
    if not rest and text.endswith("Z"):
        return float(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))
    zone = rest.lstrip("0123456789") or "Z"
    return datetime.fromisoformat(f"{whole}{'+00:00' if zone == 'Z' else zone}").timestamp()


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], headings: Mapping[str, str]) -> str:
    """Return rows in aligned columns under upper-case headings, as docker does."""
    lines = [[headings.get(column, column.upper()) for column in columns]]
    lines += [[str(row[column]) for column in columns] for row in rows]
    widths = [max(len(line[number]) for line in lines) for number in range(len(columns))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
