"""Durations as Go writes them (``1h2m3.5s``), in whole nanoseconds."""

from __future__ import annotations

import re

from ocibuild.errors import DockerfileError

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"(?=\.?\d)(\d*)(?:\.(\d*))?(ns|us|\u00b5s|\u03bcs|ms|s|m|h)", re.ASCII)
_MAX = (1 << 63) - 1
_MAX_TEXT = 64


def parse_duration(text: str) -> int:
    """Return the nanoseconds of ``text``; raises DockerfileError where it is not a duration."""
    unsigned = text[1:] if text[:1] in {"+", "-"} else text
    if unsigned == "0":
        return 0
    total = position = 0
    while len(text) <= _MAX_TEXT and (part := _PART.match(unsigned, position)):
        whole, fraction, unit = part.groups()
        scale = _UNITS[unit]
        total += int(whole or 0) * scale + int(fraction or 0) * scale // 10 ** len(fraction or "")
        position = part.end()
    if not unsigned or position != len(unsigned) or total > _MAX:
        raise DockerfileError(f"invalid duration {text!r}", remedy="write it as 30s, 1m30s or 500ms")
    return -total if text.startswith("-") else total


def format_duration(nanoseconds: int) -> str:
    """Return a duration that is not negative as Go prints it: ``5m0s``, ``1.5s``, ``500ms``."""
    for unit in ("ns", "us", "ms"):
        if nanoseconds and nanoseconds < _UNITS[unit] * 1_000:
            return _decimal(nanoseconds, _UNITS[unit]) + unit.replace("us", "\u00b5s")
    minutes, rest = divmod(nanoseconds, _UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    seconds = _decimal(rest, _UNITS["s"]) + "s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _decimal(count: int, unit: int) -> str:
    whole, rest = divmod(count, unit)
    digits = str(rest).zfill(len(str(unit)) - 1).rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)
