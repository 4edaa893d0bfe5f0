"""Maps of sparse files: which pieces of a file a tar holds. Pure functions.

Four forms exist, all from GNU tar: a table in an old GNU header, and versions 0.0, 0.1 and 1.0 in extended headers.
See the GNU tar manual, "Storing Sparse Files".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, TypeAlias

from ocibuild.errors import InvalidLayer
from ocibuild.layer.header import number
from ocibuild.layer.pax import integer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_PIECES = 1 << 17
"""Pieces of one sparse file: each costs memory, and a file with more gains nothing from being sparse."""

SparseMap: TypeAlias = list[tuple[int, int]]
"""Offset and length in bytes of each piece that has bytes, in order."""

_OLD_HEADER = struct.Struct("386x96sc12s17x")
_OLD_EXTENSION = struct.Struct("504sc7x")


def old_map(header: bytes, next_block: Callable[[], bytes]) -> tuple[SparseMap, int]:
    """Return the map and the size of the whole file of an old GNU header, which goes on in further blocks."""
    table, extended, realsize = _OLD_HEADER.unpack(header)
    pieces = _old_pieces(table)
    while extended not in (b"\0", b"0"):
        table, extended = _OLD_EXTENSION.unpack(next_block())
        pieces += _old_pieces(table)
        _check_count(len(pieces))
    return pieces, number(realsize)


def _old_pieces(table: bytes) -> SparseMap:
    found = []
    for at in range(0, len(table), 24):
        offset, length = table[at : at + 12], table[at + 12 : at + 24]
        if not offset.strip(b"\0 "):
            break
        found.append((number(offset), number(length)))
    return found


def pax_map(records: list[tuple[str, bytes]]) -> SparseMap | None:
    """Return the map of version 0.0 or 0.1; None where the records have none."""
    for key, value in records:
        if key == "GNU.sparse.map":
            return _pairs([integer(key, word) for word in value.split(b",")] if value else [])
    numbers = [integer(key, value) for key, value in records if key in ("GNU.sparse.offset", "GNU.sparse.numbytes")]
    keys = {key for key, _ in records}
    return _pairs(numbers) if "GNU.sparse.numblocks" in keys or numbers else None


def is_version_1(records: Mapping[str, bytes]) -> bool:
    """Say whether the map stands at the start of the body."""
    return records.get("GNU.sparse.major") == b"1" and records.get("GNU.sparse.minor") == b"0"


def body_map(next_block: Callable[[], bytes]) -> tuple[SparseMap, int]:
    """Return the map of version 1.0, and how many bytes of the body it takes: decimal numbers, one a line."""
    lines: list[bytes] = []
    rest = b""
    wanted = 1
    blocks = 0
    while len(lines) < wanted:
        *whole, rest = (rest + next_block()).split(b"\n")
        blocks += 1
        lines += whole
        if lines:
            count = integer("GNU.sparse.map", lines[0])
            _check_count(count)
            wanted = 1 + 2 * count
        if len(lines) < wanted and len(rest) > 20:
            raise InvalidLayer("the map of a sparse file has a line that is not a number")
    return _pairs([integer("GNU.sparse.map", line) for line in lines[1:wanted]]), blocks * 512


def check_map(pieces: SparseMap, stored: int, realsize: int) -> None:
    """Raise InvalidLayer unless the pieces are in order, inside the file, and as long as what the tar holds."""
    at = 0
    for offset, length in pieces:
        if offset < at or length > realsize - offset:
            raise InvalidLayer("the map of a sparse file overlaps or leaves the file")
        at = offset + length
    if sum(length for _, length in pieces) != stored:
        raise InvalidLayer("the map of a sparse file does not match its body")


def _pairs(numbers: list[int]) -> SparseMap:
    if len(numbers) % 2:
        raise InvalidLayer("the map of a sparse file has an offset without a length")
    _check_count(len(numbers) // 2)
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _check_count(count: int) -> None:
    if count > MAX_PIECES:
        raise InvalidLayer(f"a sparse file of more than {MAX_PIECES} pieces")
