"""A tar of a layout, read where it lies: one pass over its headers says where each file is; nothing is unpacked."""

from __future__ import annotations

import io
import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, Self

from ocibuild.errors import InvalidDocument
from ocibuild.layer import Kind, TarReader

if TYPE_CHECKING:
    from ocibuild.layer import Entry

MAX_FILES: Final = 1 << 16
"""Files of a layout that we remember: more than five hundred images of 127 layers."""
_BLOCK = 512
_BUFFER = 256 << 10
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}


class _Member(NamedTuple):
    """Where the bytes of a file are."""

    offset: int
    size: int


class OciArchive:
    """A plain tar of an OCI image layout; a context manager. Other files in it do not matter.

    Opening raises OSError, InvalidLayer where it is not a tar or is cut short, InvalidDocument where it is compressed
    or has a file of a layout twice, as a link or as a sparse file: readers would not agree on what it holds.
    """

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _refuse_others(self._fd)
            self._members = _members(self._fd)
        except BaseException:
            os.close(self._fd)
            raise

    def size_of(self, name: str) -> int | None:
        """See ``Source``."""
        member = self._members.get(name)
        return None if member is None else member.size

    def open_file(self, name: str) -> BinaryIO:
        """See ``Source``; good as long as the archive is open."""
        return io.BufferedReader(_Section(self._fd, *self._members[name]), _BUFFER)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


class _Section(io.RawIOBase):
    """The bytes of an open file from ``offset`` on, ``size`` of them."""

    def __init__(self, fd: int, offset: int, size: int) -> None:
        super().__init__()
        self._fd = fd
        self._at = offset
        self._end = offset + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # BufferedReader gives a memoryview
        view = memoryview(buffer)[: self._end - self._at]
        count = os.preadv(self._fd, [view], self._at) if view else 0
        self._at += count
        return count


class _Headers:
    """A tar given to its reader block by block, so that the reader never has more than the headers it asked for."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._size = os.fstat(fd).st_size
        self.at = 0

    def read(self, _size: int, /) -> bytes:
        block = os.pread(self._fd, _BLOCK, self.at)
        self.at += len(block)
        return block

    def has(self, count: int) -> bool:
        return count <= self._size - self.at


def _members(fd: int) -> dict[str, _Member]:
    """Return where each file of the layout is."""
    headers = _Headers(fd)
    reader = TarReader(headers)
    members: dict[str, _Member] = {}
    for entry in reader:
        offset, size = headers.at, entry.size
        stored = reader.leave_body()
        if not headers.has(stored):
            raise InvalidDocument(f"it is cut short: it ends in the middle of {entry.name!r:.160}")
        headers.at += stored
        if _belongs(entry.name):
            _refuse_ambiguous(entry, stored, members)
            members[entry.name] = _Member(offset, size)
    return members


def _belongs(name: str) -> bool:
    """Tell whether this is a file of a layout: ``blobs/ALGORITHM/HEX`` or one of the two documents."""
    return name in ("index.json", "oci-layout") or (name.startswith("blobs/") and name.count("/") > 1)


def _refuse_ambiguous(entry: Entry, stored: int, members: dict[str, _Member]) -> None:
    name = f"{entry.name!r:.160}"
    if entry.kind is not Kind.FILE:
        raise InvalidDocument(f"{name} is a {entry.kind.value} where a file must be")
    if stored != entry.size + -entry.size % _BLOCK:
        raise InvalidDocument(f"{name} is stored as a sparse file", remedy="make the tar without --sparse")
    if entry.name in members:
        raise InvalidDocument(f"{name} is in it twice")
    if len(members) >= MAX_FILES:
        raise InvalidDocument(f"it has more than {MAX_FILES} files")


def _refuse_others(fd: int) -> None:
    """Refuse by name what is certainly not a plain tar."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise InvalidDocument("it is neither a directory nor a file", remedy="save it to a file first")
    start = os.pread(fd, _BLOCK, 0)
    for magic, compression in _MAGIC.items():
        if start.startswith(magic):
            raise InvalidDocument(f"the archive is compressed with {compression}", remedy="decompress it first")
    if not start:
        raise InvalidDocument("the file is empty")
