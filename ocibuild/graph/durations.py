"""Spans of time as Go writes them."""

from __future__ import annotations

import re

_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)", re.ASCII)
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float | None:
    """Return seconds for ``24h`` or ``1h30m``; None for what is no span of time."""
    total, place = 0.0, 0
    while place < len(text) and (part := _PART.match(text, place)):
        total += float(part[1]) * _SECONDS[part[2]]
        place = part.end()
    return total if text and place == len(text) else None
