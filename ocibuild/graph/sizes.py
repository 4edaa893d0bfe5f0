"""Sizes as docker writes them."""

from __future__ import annotations

import re

_SIZE = r"(?ai)(\d+\.?\d*|\.\d+) ?(?:([kmgtp])(?:i?b)?|b)?"
_UNITS = {unit: 1 << 10 * power for power, unit in enumerate("kmgtp", 1)}
_MAX_SIZE = (1 << 63) - 1


def parse_size(text: str) -> int | None:
    """Return a size in bytes, ``10m`` or ``1.5 GiB``, whose units are of 1024; None for what is none."""
    found = re.fullmatch(_SIZE, text[:64])
    size = float(found[1]) * _UNITS.get((found[2] or "").lower(), 1) if found else -1.0
    return int(size) if 0 <= size <= _MAX_SIZE else None
