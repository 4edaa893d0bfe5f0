"""A tar read as a stream of entries: v7, ustar, pax and GNU, with sparse files.

The reader never holds more than one piece of the stream and one extended header, and trusts nothing in either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ocibuild.errors import InvalidLayer
from ocibuild.layer import pax, sparse
from ocibuild.layer.entry import Entry, Kind, clean_name, shown
from ocibuild.layer.header import (
    BLOCK,
    GNU_MAGIC,
    POSIX_MAGIC,
    ZEROS,
    Fields,
    number,
    signed_number,
    split_header,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

PIECE = 1 << 20
"""Bytes asked of the stream at once, and so the longest piece of a body."""

MAX_ID = (1 << 32) - 2
"""The greatest user or group ID: the one above means "leave it as it is" to chown(2)."""

_KINDS: Final = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"S": Kind.FILE,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHARACTER,
    b"4": Kind.BLOCK,
    b"5": Kind.DIRECTORY,
    b"6": Kind.FIFO,
}
_GLOBAL_KEYS: Final = frozenset({"path", "linkpath", "size", "uid", "gid", "mtime"})
_NO_RECORDS: Final[dict[str, bytes]] = {}


class Readable(Protocol):
    """What a tar is read from."""

    def read(self, size: int, /) -> bytes:
        """Return some of the bytes that follow, ``size`` of them at most or as many as suit; none at the end."""


class Pieces:
    """A stream that comes in pieces, as a ``Readable``."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, _size: int, /) -> bytes:
        """Return the next piece, none at the end."""
        return next(self._pieces, b"")


class TarReader:
    """The entries of the plain tar in ``stream``, in its order.

    Iterating yields each ``Entry``; ``body()`` and ``pieces()`` read the file of the latest one, and what is not read
    of it is passed over. ``holes`` are the bytes of that file which the tar does not hold. The end is two blocks of
    zeros or the end of the stream; what follows the blocks is not
    touched. Raises InvalidLayer for anything that is not a tar, ends too early, or exceeds a limit.
    """

    def __init__(self, stream: Readable) -> None:
        self._read = stream.read
        self._buffer = b""
        self._at = 0
        self._left = 0
        self._padding = 0
        self._map: sparse.SparseMap | None = None
        self._size = 0
        self.holes = 0
        self._global: dict[str, bytes] = {}

    def __iter__(self) -> Iterator[Entry]:
        while (entry := self._next_entry()) is not None:
            yield entry

    def body(self) -> Iterator[memoryview]:
        """Yield the file of the latest entry in pieces of 1 MiB at most, its holes as zeros."""
        zeros = memoryview(bytes(PIECE if self._map is not None else 0))
        at = 0
        for offset, piece in self.pieces():
            yield from _hole(zeros, offset - at)
            yield piece
            at = offset + len(piece)
        yield from _hole(zeros, self._size - at)

    def pieces(self) -> Iterator[tuple[int, memoryview]]:
        """Yield the offset and the bytes of each piece of the latest entry's file, without its holes."""
        if self._map is None:
            offset = 0
            while self._left:
                piece = self._take()
                yield offset, piece
                offset += len(piece)
            return
        for start, length in self._map:
            offset, end = start, start + length
            while offset < end:
                piece = self._take(end - offset)
                yield offset, piece
                offset += len(piece)

    def whole_body(self) -> memoryview | None:
        """Return the file of the latest entry where it is at hand in one piece, which it mostly is; else None."""
        at, left = self._at, self._left
        if self._map is not None or len(self._buffer) - at < left:
            return None
        self._at = at + left
        self._left = 0
        return memoryview(self._buffer)[at : at + left]

    def leave_body(self) -> int:
        """Give up what is unread of the latest entry's file; return how many bytes the stream itself must pass over.

        This is for a stream that can seek. What the stream gave already is passed over here; the padding counts.
        """
        length = self._left + self._padding
        held = min(length, len(self._buffer) - self._at)
        self._at += held
        self._left = self._padding = 0
        return length - held

    def _take(self, limit: int = PIECE) -> memoryview:
        """Return the next bytes of the body, as many as are at hand."""
        if self._at == len(self._buffer):
            self._refill()
        length = min(self._left, limit, len(self._buffer) - self._at)
        piece = memoryview(self._buffer)[self._at : self._at + length]
        self._at += length
        self._left -= length
        return piece

    def _refill(self) -> None:
        self._buffer = self._read(PIECE)
        self._at = 0
        if not self._buffer:
            raise InvalidLayer("the tar ends in the middle of a file", remedy="fetch or build the layer again")

    def _skip(self, count: int) -> None:
        while count > len(self._buffer) - self._at:
            count -= len(self._buffer) - self._at
            self._refill()
        self._at += count

    def _block(self) -> bytes:
        """Return the next 512 bytes; none at the end of the stream."""
        at = self._at
        block = self._buffer[at : at + BLOCK]
        self._at = at + len(block)
        while len(block) < BLOCK:
            self._buffer = self._read(PIECE)
            self._at = min(BLOCK - len(block), len(self._buffer))
            if not self._buffer and not block:
                return b""
            if not self._buffer:
                raise InvalidLayer("the tar ends in the middle of a block", remedy="fetch or build the layer again")
            block += self._buffer[: self._at]
        return block

    def _header_block(self) -> bytes:
        """Return the next header; none at the end of the archive."""
        block = self._block()
        if block != ZEROS:
            return block
        if self._block() not in (ZEROS, b""):
            raise InvalidLayer("the tar goes on after a block of zeros")
        return b""

    def _required_block(self) -> bytes:
        block = self._block()
        if not block:
            raise InvalidLayer("the tar ends where a header must go on", remedy="fetch or build the layer again")
        return block

    def _body_block(self) -> bytes:
        """Return the next 512 bytes of the body, for the map of a sparse file."""
        if self._left < BLOCK:
            raise InvalidLayer("the map of a sparse file is longer than its body")
        self._left -= BLOCK
        return self._required_block()

    def _next_entry(self) -> Entry | None:
        """Read headers up to the next one that stands for an entry."""
        self._skip(self._left + self._padding)
        self._left = self._padding = 0
        records: list[tuple[str, bytes]] = []
        long: dict[str, str] = {}
        awaits_entry = False
        while block := self._header_block():
            fields = split_header(block)
            match fields.typeflag:
                case b"x" | b"X":
                    records = pax.parse_records(self._special(fields))
                case b"g":
                    self._set_global(pax.parse_records(self._special(fields)))
                case b"L" | b"K":
                    long[text(fields.typeflag)] = text(self._special(fields))
                case _:
                    return self._entry(block, fields, records, long)
            awaits_entry = fields.typeflag != b"g"
        if awaits_entry:
            raise InvalidLayer("the tar ends after an extended header")
        return None

    def _set_global(self, records: list[tuple[str, bytes]]) -> None:
        """Keep what counts for all entries that follow; anything else could grow with each such header."""
        self._global.update((key, value) for key, value in records if key in _GLOBAL_KEYS)

    def _special(self, fields: Fields) -> bytes:
        """Return the body of a header that extends another."""
        size = number(fields.size)
        if size > pax.MAX_PAX:
            raise InvalidLayer(f"an extended header of {size} bytes, more than {pax.MAX_PAX}")
        blocks = [self._required_block() for _ in range(0, size, BLOCK)]
        return b"".join(blocks)[:size]

    def _entry(self, block: bytes, fields: Fields, extended: list[tuple[str, bytes]], long: dict[str, str]) -> Entry:
        raw_name = long.get("L") or _name(fields)
        kind = _KINDS.get(fields.typeflag)
        if kind is None:
            raise InvalidLayer(f"{shown(raw_name)}: a tar entry of the unknown type {fields.typeflag!r}")
        if fields.typeflag == b"\0" and raw_name.endswith("/"):
            kind = Kind.DIRECTORY
        entry = Entry(raw_name, kind, number(fields.mode) & 0o7777, number(fields.uid), number(fields.gid))
        entry.size = number(fields.size)
        entry.mtime_ns = signed_number(fields.mtime) * 10**9
        records = _NO_RECORDS
        if extended or self._global:
            records = pax.effective({**self._global, **dict(extended)})
            _extend(entry, records, long.get("L"))
        _finish(entry, fields, records, long)
        self._map = None
        self._set_body(entry, block, fields, extended, records)
        return entry

    def _set_body(
        self,
        entry: Entry,
        block: bytes,
        fields: Fields,
        extended: list[tuple[str, bytes]],
        records: dict[str, bytes],
    ) -> None:
        """Prepare to read the file of the entry, and give it its size with the holes."""
        if entry.kind is not Kind.FILE:
            # As in other readers, only a file has a body; the size of a hard link is that of its target.
            entry.size = self._size = self.holes = 0
            return
        stored = self._left = entry.size
        self._padding = -stored % BLOCK
        if fields.typeflag == b"S":
            self._map, entry.size = sparse.old_map(block, self._required_block)
        elif sparse.is_version_1(records):
            self._map, in_body = sparse.body_map(self._body_block)
            stored -= in_body
            entry.size = _realsize(records)
        elif extended and (pieces := sparse.pax_map(extended)) is not None:
            self._map = pieces
            entry.size = _realsize(records)
        if self._map is not None:
            sparse.check_map(self._map, stored, entry.size)
        self._size = entry.size
        self.holes = entry.size - stored


def _name(fields: Fields) -> str:
    """Return the name in the header; only POSIX has a prefix, where GNU keeps times."""
    name = text(fields.name)
    if fields.prefix[0] and fields.magic == POSIX_MAGIC:
        return f"{text(fields.prefix)}/{name}"
    return name


def _extend(entry: Entry, records: dict[str, bytes], long_name: str | None) -> None:
    """Put what the extended header says over what the header says; GNU's long names count more, as in Go."""
    if "path" in records and not long_name:
        entry.name = records["path"].decode("utf-8", "surrogateescape")
    if "GNU.sparse.name" in records:
        entry.name = records["GNU.sparse.name"].decode("utf-8", "surrogateescape")
    for key, attribute in (("size", "size"), ("uid", "uid"), ("gid", "gid")):
        if key in records:
            setattr(entry, attribute, pax.integer(key, records[key]))
    if "mtime" in records:
        entry.mtime_ns = pax.nanoseconds("mtime", records["mtime"])
    entry.xattrs = pax.extended_attributes(records)


def _finish(entry: Entry, fields: Fields, records: dict[str, bytes], long: dict[str, str]) -> None:
    """Clean the names of the entry, and read what only some kinds have."""
    entry.name = clean_name(entry.name)
    if entry.uid > MAX_ID or entry.gid > MAX_ID:
        raise InvalidLayer(f"{shown(entry.name)}: no owner has the IDs {entry.uid}:{entry.gid}")
    match entry.kind:
        case Kind.SYMLINK:
            entry.linkname = _linkname(entry, fields, records, long)
        case Kind.HARDLINK:
            entry.linkname = clean_name(_linkname(entry, fields, records, long))
        case Kind.CHARACTER | Kind.BLOCK if fields.magic in (POSIX_MAGIC, GNU_MAGIC):
            entry.device = (number(fields.devmajor), number(fields.devminor))
        case _:
            pass


def _linkname(entry: Entry, fields: Fields, records: dict[str, bytes], long: dict[str, str]) -> str:
    target = long.get("K", "")
    if not target and "linkpath" in records:
        target = records["linkpath"].decode("utf-8", "surrogateescape")
    target = target or text(fields.linkname)
    if not target or "\0" in target:
        raise InvalidLayer(f"{shown(entry.name)}: a link to nowhere")
    return target


def _realsize(records: dict[str, bytes]) -> int:
    key = "GNU.sparse.realsize" if "GNU.sparse.realsize" in records else "GNU.sparse.size"
    if key not in records:
        raise InvalidLayer("a sparse file without its size")
    return pax.integer(key, records[key])


def _hole(zeros: memoryview, length: int) -> Iterator[memoryview]:
    while length > 0:
        yield zeros[:length]
        length -= len(zeros)
