"""eStargz: a layer of gzip in which each file is at hand by itself, for runtimes that pull what is read alone.

See the stargz snapshotter's specification, docs/estargz.md. A gzip member begins with each part of a file, and goes on
with what is between that and the next; a table of contents is the tar's last entry, and the blob ends with the place of
that. To all others it is gzip.
"""

from __future__ import annotations

import base64
import json
import os
import struct
import time
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ocibuild.layer.channel import pipeline
from ocibuild.layer.compression import GZIP_LEVEL
from ocibuild.layer.entry import Entry, Kind
from ocibuild.layer.ordered import map_in_order
from ocibuild.layer.tally import Tally
from ocibuild.layer.writer import TarWriter
from ocibuild.oci import DiffID, Digest
from ocibuild.values import NamedTuple, dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

TABLE_NAME: Final = "stargz.index.json"
NO_PREFETCH: Final = ".no.prefetch.landmark"
_MARKS: Final = (TABLE_NAME, NO_PREFETCH, ".prefetch.landmark")
TABLE_DIGEST: Final = "containerd.io/snapshot/stargz/toc.digest"
"""The annotation of a layer that says what its table is."""
PLAIN_SIZE: Final = "io.containers.estargz.uncompressed-size"
"""The annotation of a layer that says how many bytes its tar has."""

ANNOTATIONS: Final = (TABLE_DIGEST, PLAIN_SIZE)
"""What is said of a layer that is one."""
_FOOTER = 51  # bytes
_FOOTER_START: Final = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff" + struct.pack("<H2sH", 26, b"SG", 22)
"""A gzip header with one field, of 22 bytes: where the table's member is, and a word. See RFC 1952, section 2.3.1.1."""
_FOOTER_WORD: Final = b"STARGZ"

PART = 4 << 20
"""Bytes of a part of a file, but for its last."""
_LANDMARK = b"\x0f"
_TYPES: Final = {
    Kind.FILE: "reg",
    Kind.HARDLINK: "hardlink",
    Kind.SYMLINK: "symlink",
    Kind.CHARACTER: "char",
    Kind.BLOCK: "block",
    Kind.DIRECTORY: "dir",
    Kind.FIFO: "fifo",
}
_WBITS = 31  # with gzip's header, whose time is 0


@dataclass(frozen=True, slots=True)
class Packed:
    """What was made: the digest of its tar, and what the descriptor of the layer must say of it."""

    diff_id: DiffID
    annotations: dict[str, str]


class _Member(NamedTuple):
    """What becomes a gzip member, and the rows of the table that come with it; ``place`` is of what it begins with."""

    plain: bytes
    rows: list[dict[str, Any]]
    place: dict[str, Any] | None


def pack_estargz(
    entries: Iterable[tuple[Entry, Iterable[bytes | memoryview]]],
    sink: Callable[[bytes], object],
    *,
    level: int | None = None,
    threads: int = 1,
) -> Packed:
    """Write entries, each with its body, as an eStargz to ``sink``; the same bytes whatever the number of threads.

    ``level`` is one of gzip's, 0 to 9, None for the quickest that is worth it. What is there of another eStargz, its
    table and landmark, is left out. Raises InvalidLayer.
    """
    tar = _Tar()
    rows: list[bytes | dict[str, Any]] = []  # bytes are smaller
    offset = 0
    with pipeline() as parts:
        members = tar.members(entries)
        for member, packed in map_in_order(parts, threads, partial(_compress_member, level), members):
            if member.place is not None:
                member.place["offset"] = offset
            rows += [row if _waits(row) else _encoded(row) for row in member.rows]
            sink(packed)
            offset += len(packed)
    encoded = (row if isinstance(row, bytes) else _encoded(row) for row in rows)
    table = b'{"version":1,"entries":[%b]}' % b",".join(encoded)
    sink(_compress(level, tar.finish(table)))
    sink(_footer(offset))
    return Packed(DiffID(tar.plain.digest()), {TABLE_DIGEST: Digest.of(table), PLAIN_SIZE: str(tar.plain.size)})


def _waits(row: dict[str, Any]) -> bool:
    """Tell whether it gets the digest of a whole file when more parts of that have come."""
    return row["type"] == _TYPES[Kind.FILE] and "chunkSize" in row


def _encoded(row: dict[str, Any]) -> bytes:
    return json.dumps(row, separators=(",", ":")).encode()


class _Tar:
    """A tar cut into what becomes gzip members; ``plain`` counts and hashes it."""

    def __init__(self) -> None:
        self.plain = Tally()
        self._writer = TarWriter(self._write)
        self._held = bytearray()
        self._rows: list[dict[str, Any]] = []
        self._place: dict[str, Any] | None = None

    def members(self, entries: Iterable[tuple[Entry, Iterable[bytes | memoryview]]]) -> Iterator[_Member]:
        """Yield them, the table's not among them."""
        landmark = Entry(NO_PREFETCH, Kind.FILE, size=len(_LANDMARK))
        ours = ((entry, body) for entry, body in entries if entry.name not in _MARKS)
        for entry, body in chain([(landmark, [_LANDMARK])], ours):
            self._writer.begin(entry)
            row = _row_of(entry)
            written = 0
            if entry.kind is Kind.FILE and entry.size:
                whole = Tally()
                for part in _parts(body):
                    yield self._cut()
                    self._write(part)
                    whole.add(part)
                    self._place = row if not written else {"name": row["name"], "type": "chunk", "chunkOffset": written}
                    self._rows.append(self._place)
                    if written + len(part) < entry.size:  # the last has none
                        self._place["chunkSize"] = len(part)
                    self._place["chunkDigest"] = Digest.of(part)
                    written += len(part)
                row["digest"] = whole.digest()
            else:
                self._rows.append(row)
            self._writer.end(entry, written)
            if len(self._held) >= PART:
                yield self._cut()
        yield self._cut()

    def finish(self, table: bytes) -> bytes:
        """Return the end of the tar, with the table."""
        self._writer.add(Entry(TABLE_NAME, Kind.FILE, mode=0o444, size=len(table)), [table])
        self._writer.close()
        return bytes(self._held)

    def _write(self, piece: bytes | memoryview) -> None:
        self.plain.add(piece)  # type: ignore[arg-type]  # a view is hashed like bytes
        self._held += piece

    def _cut(self) -> _Member:
        made = _Member(bytes(self._held), self._rows, self._place)
        self._held, self._rows, self._place = bytearray(), [], None
        return made


def _parts(body: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    held = bytearray()
    for piece in body:
        held += piece
        while len(held) >= PART:
            yield bytes(held[:PART])
            del held[:PART]
    if held:
        yield bytes(held)


def _row_of(entry: Entry) -> dict[str, Any]:
    """Return what the table says of an entry, but for where it is."""
    is_directory = entry.kind is Kind.DIRECTORY
    row: dict[str, Any] = {
        "name": entry.name + "/" if is_directory else entry.name,
        "type": _TYPES[entry.kind],
        **_time_of(entry),
        "mode": entry.mode & 0o7777,
        "uid": entry.uid,
        "gid": entry.gid,
    }
    if entry.kind is Kind.FILE and entry.size:
        row["size"] = entry.size
    if entry.linkname:
        row["linkName"] = entry.linkname
    if entry.kind in (Kind.CHARACTER, Kind.BLOCK):
        row["devMajor"], row["devMinor"] = entry.device
    if entry.xattrs:
        row["xattrs"] = {name: base64.b64encode(value).decode() for name, value in sorted(entry.xattrs.items())}
    return row


def _time_of(entry: Entry) -> dict[str, str]:
    """Return when it was changed, in RFC 3339; nothing where the year has not four digits."""
    try:
        text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.mtime_ns // 10**9))
    except (OverflowError, ValueError, OSError):
        return {}
    return {"modtime": text} if len(text) == len("1970-01-01T00:00:00Z") else {}


def _compress_member(level: int | None, member: _Member) -> tuple[_Member, bytes]:
    return member, _compress(level, member.plain)


def _compress(level: int | None, plain: bytes) -> bytes:
    """Return a gzip member."""
    if level is None:
        from isal import isal_zlib

        return isal_zlib.compress(plain, GZIP_LEVEL, wbits=_WBITS)
    import zlib

    return zlib.compress(plain, level, wbits=_WBITS)


def is_estargz(blob: BinaryIO) -> bool:
    """Tell whether a blob ends as one does."""
    if blob.seek(0, os.SEEK_END) < _FOOTER:
        return False
    blob.seek(-_FOOTER, os.SEEK_END)
    footer = blob.read(_FOOTER)
    return footer.startswith(_FOOTER_START) and footer[32:38] == _FOOTER_WORD


def _footer(table: int) -> bytes:
    """Return the member that says where the table's is."""
    return _FOOTER_START + b"%016x" % table + _FOOTER_WORD + b"\x01\0\0\xff\xff" + bytes(8)
