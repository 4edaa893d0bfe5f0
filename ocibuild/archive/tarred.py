"""A tar read where it lies: one pass over its headers says where each file is; nothing is unpacked."""

from __future__ import annotations

import io
import os
import posixpath
import stat
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from ocibuild.errors import InvalidDocument
from ocibuild.layer.entry import Kind
from ocibuild.layer.reader import TarReader
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ocibuild.layer.entry import Entry

MAX_FILES: Final = 1 << 16
"""Files of an archive that we remember: more than five hundred images of 127 layers."""
_LINKS: Final = (Kind.SYMLINK, Kind.HARDLINK)
_MAX_LINKS: Final = 8  # followed for one name
_BLOCK = 512
_BUFFER = 256 << 10
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}


class _Member(NamedTuple):
    """Where the bytes of a file are."""

    offset: int
    size: int


class TarredFiles:
    """The files of a plain tar for whose names ``belongs`` holds; a context manager. What else is in it is passed over.

    With ``links``, a link to one of them stands for it. Opening raises OSError, InvalidLayer where it is not a tar or
    is cut short, InvalidDocument where it is compressed or has such a file twice, as a sparse file, or, without
    ``links``, as a link: readers would not agree on what it holds.
    """

    def __init__(self, path: str, belongs: Callable[[str], bool], *, links: bool = False) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _refuse_others(self._fd)
            self._members = _members(self._fd, belongs, links=links)
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


class OciArchive(TarredFiles):
    """A plain tar of an OCI image layout; opening it raises as ``TarredFiles`` does."""

    def __init__(self, path: str) -> None:
        super().__init__(path, _belongs)


class _Section(io.RawIOBase):
    """The bytes of an open file from ``offset`` on, ``size`` of them."""

    def __init__(self, fd: int, offset: int, size: int) -> None:
        super().__init__()
        self._fd = fd
        self._start = self._at = offset
        self._end = offset + size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = min(max(base + offset, self._start), self._end)
        return self._at - self._start

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


def _members(fd: int, belongs: Callable[[str], bool], *, links: bool) -> dict[str, _Member]:
    """Return where each file that belongs is."""
    headers = _Headers(fd)
    reader = TarReader(headers)
    members: dict[str, _Member] = {}
    targets: dict[str, str] = {}
    for entry in reader:
        offset, size = headers.at, entry.size
        stored = reader.leave_body()
        if not headers.has(stored):
            raise InvalidDocument(f"it is cut short: it ends in the middle of {entry.name!r:.160}")
        headers.at += stored
        if not belongs(entry.name) or (links and entry.kind is Kind.DIRECTORY):
            continue
        _refuse_repeated(entry, members, targets)
        if links and entry.kind in _LINKS:
            targets[entry.name] = _target(entry)
        else:
            _refuse_ambiguous(entry, stored)
            members[entry.name] = _Member(offset, size)
    return members | _followed(targets, members)


def _target(entry: Entry) -> str:
    """Return the name of the member that a link leads to; one that leads out is no member's."""
    folder = posixpath.dirname(entry.name) if entry.kind is Kind.SYMLINK else ""
    return posixpath.normpath(posixpath.join(folder, entry.linkname))


def _followed(targets: Mapping[str, str], members: Mapping[str, _Member]) -> dict[str, _Member]:
    """Return the files that links lead to, by the names of the links; a link that leads nowhere is left out."""
    found: dict[str, _Member] = {}
    for name in targets:
        target = name
        for _ in range(_MAX_LINKS):
            target = targets.get(target, target)
        if target in members:
            found[name] = members[target]
    return found


def _belongs(name: str) -> bool:
    """Tell whether this is a file of a layout: ``blobs/ALGORITHM/HEX`` or one of the two documents."""
    return name in ("index.json", "oci-layout") or (name.startswith("blobs/") and name.count("/") > 1)


def _refuse_repeated(entry: Entry, members: Mapping[str, _Member], targets: Mapping[str, str]) -> None:
    if entry.name in members or entry.name in targets:
        raise InvalidDocument(f"{entry.name!r:.160} is in it twice")
    if len(members) + len(targets) >= MAX_FILES:
        raise InvalidDocument(f"it has more than {MAX_FILES} files")


def _refuse_ambiguous(entry: Entry, stored: int) -> None:
    name = f"{entry.name!r:.160}"
    if entry.kind is not Kind.FILE:
        raise InvalidDocument(f"{name} is a {entry.kind.value} where a file must be")
    if stored != entry.size + -entry.size % _BLOCK:
        raise InvalidDocument(f"{name} is stored as a sparse file", remedy="make the tar without --sparse")


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
