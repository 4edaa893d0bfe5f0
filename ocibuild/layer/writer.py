"""A tar written so that the same entries give the same bytes: ustar, with pax only where ustar cannot say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocibuild.errors import InvalidLayer
from ocibuild.layer.entry import Entry, Kind, shown
from ocibuild.layer.header import BLOCK, ZEROS, checksum
from ocibuild.layer.pax import MAX_PAX, SCHILY_XATTR, format_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_TYPEFLAGS: Final = {
    Kind.FILE: b"0",
    Kind.HARDLINK: b"1",
    Kind.SYMLINK: b"2",
    Kind.CHARACTER: b"3",
    Kind.BLOCK: b"4",
    Kind.DIRECTORY: b"5",
    Kind.FIFO: b"6",
}
_MAX_SEVEN_DIGITS = 8**7 - 1
_MAX_ELEVEN_DIGITS = 8**11 - 1
_NANOSECONDS = 10**9


class TarWriter:
    """Writes entries to ``write`` in the order they are added.

    Times are whole seconds, rounded down; names of users and groups stay empty, as the numbers are what counts.
    """

    def __init__(self, write: Callable[[bytes | memoryview], object]) -> None:
        self._write = write

    def add(self, entry: Entry, body: Iterable[bytes | memoryview] = ()) -> None:
        """Write one entry; ``body`` gives ``entry.size`` bytes for a file and nothing for any other kind.

        Raises InvalidLayer where the body has another size, or an extended header grows beyond what readers take.
        """
        self.begin(entry)
        size = entry.size if entry.kind is Kind.FILE else 0
        written = 0
        for piece in body:
            written += len(piece)
            if written > size:
                break
            self._write(piece)
        self.end(entry, written)

    def begin(self, entry: Entry) -> None:
        """Write what comes before the body of an entry, which whoever calls this writes. Errors as in ``add()``."""
        self._write(header_of(entry))

    def end(self, entry: Entry, written: int) -> None:
        """Write what comes after a body of ``written`` bytes. Errors as in ``add()``."""
        size = entry.size if entry.kind is Kind.FILE else 0
        if written != size:
            raise InvalidLayer(f"{shown(entry.name)}: its size changed from {size} bytes while it was read")
        if size % BLOCK:
            self._write(ZEROS[: -size % BLOCK])

    def close(self) -> None:
        """Write the two blocks of zeros that end the archive."""
        self._write(ZEROS * 2)


def header_of(entry: Entry) -> bytes:
    """Return the blocks that come before the body of ``entry``."""
    name = (entry.name + "/" if entry.kind is Kind.DIRECTORY else entry.name).encode("utf-8", "surrogateescape")
    linkname = entry.linkname.encode("utf-8", "surrogateescape")
    size = entry.size if entry.kind is Kind.FILE else 0
    mtime = entry.mtime_ns // _NANOSECONDS
    records: dict[str, bytes] = {}
    prefix, short_name = _split(name, records)
    if len(linkname) > 100 or not linkname.isascii():
        records["linkpath"] = linkname
        linkname = _ascii(linkname)
    header = _block(
        short_name,
        prefix,
        entry.mode & 0o7777,
        _fit(records, "uid", entry.uid, _MAX_SEVEN_DIGITS),
        _fit(records, "gid", entry.gid, _MAX_SEVEN_DIGITS),
        _fit(records, "size", size, _MAX_ELEVEN_DIGITS),
        _fit(records, "mtime", mtime, _MAX_ELEVEN_DIGITS),
        _TYPEFLAGS[entry.kind],
        linkname,
        entry.device,
    )
    _add_xattrs(entry, records)
    return _extended(entry, records) + header if records else header


def _split(name: bytes, records: dict[str, bytes]) -> tuple[bytes, bytes]:
    """Return prefix and name as ustar has them: at most 155 and 100 bytes with a slash between."""
    if name.isascii():
        if len(name) <= 100:
            return b"", name
        slash = name.rfind(b"/", 0, min(156, len(name) - 1))
        if slash > 0 and len(name) - slash - 1 <= 100:
            return name[:slash], name[slash + 1 :]
    records["path"] = name
    return b"", _ascii(name)


def _ascii(name: bytes) -> bytes:
    """Return what a reader without pax shall see."""
    return bytes(byte if 32 <= byte < 127 else 95 for byte in name[:100])


def _fit(records: dict[str, bytes], key: str, value: int, greatest: int) -> int:
    """Return the number for the header: 0 where it does not fit, and a record says it."""
    if 0 <= value <= greatest:
        return value
    records[key] = b"%d" % value
    return 0


def _add_xattrs(entry: Entry, records: dict[str, bytes]) -> None:
    for name in sorted(entry.xattrs):
        if "=" in name:
            raise InvalidLayer(f"{shown(entry.name)}: no tar can hold the extended attribute {shown(name)}")
        records[SCHILY_XATTR + name] = entry.xattrs[name]


def _extended(entry: Entry, records: dict[str, bytes]) -> bytes:
    content = format_records(records)
    if len(content) > MAX_PAX:
        raise InvalidLayer(f"{shown(entry.name)}: its extended attributes need more than {MAX_PAX} bytes")
    last = entry.name.rpartition("/")[2].encode("utf-8", "surrogateescape")
    name = b"PaxHeaders.0/" + _ascii(last)[:80]
    return _block(name, b"", 0o644, 0, 0, len(content), 0, b"x", b"", (0, 0)) + content + ZEROS[: -len(content) % BLOCK]


def _block(
    name: bytes,
    prefix: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
    typeflag: bytes,
    linkname: bytes,
    device: tuple[int, int],
) -> bytes:
    start = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (name.ljust(100, b"\0"), mode, uid, gid, size, mtime)
    end = b"%b%b%b%07o\0%07o\0%b" % (
        typeflag,
        linkname.ljust(100, b"\0"),
        b"ustar\x0000".ljust(72, b"\0"),
        *device,
        prefix.ljust(167, b"\0"),
    )
    return b"%b%06o\0 %b" % (start, checksum(start, end), end)
