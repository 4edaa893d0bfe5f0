"""Extended headers: ``length key=value`` records that say what a ustar header cannot. Pure functions.

See POSIX.1-2017, pax, "pax Extended Header"; the SCHILY.xattr keys are those of star, LIBARCHIVE.xattr of bsdtar.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ocibuild.errors import InvalidLayer

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PAX = 1 << 20
"""Bytes of one extended header, as in Go's archive/tar, which the peers are made of."""

SCHILY_XATTR = "SCHILY.xattr."
LIBARCHIVE_XATTR = "LIBARCHIVE.xattr."
_XATTRS = (SCHILY_XATTR, LIBARCHIVE_XATTR)

_RECORD = re.compile(rb"([0-9]{1,7}) ")
_DECIMAL = re.compile(r"([+-]?)([0-9]{1,19})(?:\.([0-9]*))?")
_NANOSECONDS = 10**9


def parse_records(block: bytes) -> list[tuple[str, bytes]]:
    """Return the records of an extended header in their order; InvalidLayer where one is malformed."""
    records = []
    at = 0
    while at < len(block):
        length = _RECORD.match(block, at)
        end = at + int(length[1]) if length else 0
        if length is None or not length.end() < end <= len(block) or block[end - 1] != 0x0A:
            raise InvalidLayer("an extended header of the tar is malformed")
        key, equals, value = block[length.end() : end - 1].partition(b"=")
        if not equals or not key or b"\0" in key:
            raise InvalidLayer("an extended header of the tar has a record without a key")
        records.append((key.decode("utf-8", "surrogateescape"), value))
        at = end
    return records


def format_records(records: Mapping[str, bytes]) -> bytes:
    """Return the records as one extended header, in the order given."""
    return b"".join(_record(key.encode("utf-8", "surrogateescape"), value) for key, value in records.items())


def _record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def integer(key: str, value: bytes) -> int:
    """Return the decimal number of a record; InvalidLayer where it is negative, huge or none."""
    if not value.isdigit() or len(value) > 19 or (found := int(value)) >= 1 << 63:
        raise InvalidLayer(f"{key} in an extended header is {value[:40]!r}, not a number of at most 63 bits")
    return found


def nanoseconds(key: str, value: bytes) -> int:
    """Return a time of a record, decimal seconds with a fraction, rounded down to nanoseconds."""
    match = _DECIMAL.fullmatch(value.decode("ascii", "replace"))
    if match is None or int(match[2]) >= 1 << 63:
        raise InvalidLayer(f"{key} in an extended header is {value[:40]!r}, not a time")
    fraction = match[3] or ""
    whole = int(match[2]) * _NANOSECONDS + int(fraction[:9].ljust(9, "0"))
    if match[1] != "-":
        return whole
    return -whole - (1 if fraction[9:].strip("0") else 0)


def effective(records: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the records that say something: one without a value takes back another, but an attribute may be empty."""
    return {key: value for key, value in records.items() if value or key.startswith(_XATTRS)}


def extended_attributes(records: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the extended attributes among the records, by name."""
    found: dict[str, bytes] = {}
    for key, value in records.items():
        if key.startswith(LIBARCHIVE_XATTR):
            name, decoded = _from_libarchive(key.removeprefix(LIBARCHIVE_XATTR), value)
            found.setdefault(name, decoded)
        elif key.startswith(SCHILY_XATTR):
            found[key.removeprefix(SCHILY_XATTR)] = value
    return found


def _from_libarchive(name: str, value: bytes) -> tuple[str, bytes]:
    """Decode what bsdtar writes: the name URL-encoded, the value as base64 without padding."""
    from base64 import b64decode
    from urllib.parse import unquote

    try:
        return unquote(name, errors="surrogateescape"), b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except ValueError as error:
        raise InvalidLayer(f"{LIBARCHIVE_XATTR}{name[:100]} in an extended header is not base64") from error
