"""Tar archives that ADD unpacks: how one is recognised, and its files put into a tree.

They are not layers: a name that begins with ``.wh.`` is a file like any other, and what the tree has already stays,
symlinks to directories included, unless an entry has its very name.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from ocibuild.errors import InvalidLayer, SourceError
from ocibuild.layer import Kind, TarReader, split_header

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.fs import Root
    from ocibuild.layer import Entry
    from ocibuild.solver.operations.placing import Placer

_BZIP2, _XZ, _GZIP, _ZSTD = b"BZh", b"\xfd7zXZ\0", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"
_MAGICS = (_BZIP2, _XZ, _GZIP, _ZSTD)
_BLOCK = 512


def is_archive(root: Root, name: str) -> bool:
    """Tell whether a file is a tar, plain or compressed with gzip, bzip2, xz or zstd, with an entry at least."""
    if not stat.S_ISREG(root.lstat(name).st_mode):
        return False
    with open(root.open_file(name), "rb") as file, _plain(file) as plain:
        try:
            start = b""
            while len(start) < _BLOCK and (piece := plain.read(_BLOCK - len(start))):
                start += piece
            if len(start) < _BLOCK or not start.strip(b"\0"):
                return False
            split_header(start)
        except InvalidLayer:
            return False
        return True


def unpack(source: Root, name: str, placer: Placer, *, owner: tuple[int, int] | None) -> None:
    """Put the files of the archive ``name`` of ``source`` where ``placer`` does; ``owner`` goes before their own.

    The entry of the archive's own root counts for nothing. Raises SourceError where the archive is damaged or holds
    what cannot be put there.
    """
    with open(source.open_file(name), "rb") as file, _plain(file) as plain:
        reader = TarReader(plain)
        try:
            for entry in reader:
                if entry.name != ".":
                    _put(replace(entry, uid=owner[0], gid=owner[1]) if owner else entry, reader, placer)
            placer.finish()
        except InvalidLayer as error:
            raise SourceError(f"{name!r} cannot be unpacked: {error.message}") from error
        except (FileNotFoundError, NotADirectoryError) as error:
            where = f"{error.filename!r}: " if error.filename else ""
            raise SourceError(f"{name!r} cannot be unpacked: {where}{error.strerror}") from error


def _put(entry: Entry, reader: TarReader, placer: Placer) -> None:
    placer.parents(entry.name)
    there = placer.there(entry.name)
    is_directory = entry.kind is Kind.DIRECTORY
    if there is not None and not (is_directory and stat.S_ISDIR(there.st_mode)) and entry.linkname != entry.name:
        placer.root.remove(entry.name)
    match entry.kind:
        case Kind.DIRECTORY:
            placer.directory(entry)
        case Kind.FILE:
            placer.file(entry, partial(_fill, reader, entry.size))
        case Kind.HARDLINK if entry.linkname == entry.name:
            pass
        case Kind.HARDLINK:
            placer.hard_link(entry.name, entry.linkname)
        case Kind.CHARACTER if entry.device == (0, 0):
            raise InvalidLayer(f"{entry.name!r} is a character device 0:0, which no layer can hold")
        case _:
            placer.node(entry)


def _fill(reader: TarReader, size: int, fd: int) -> None:
    for offset, piece in reader.pieces():
        done = 0
        while done < len(piece):
            done += os.pwrite(fd, piece[done:], offset + done)
    os.ftruncate(fd, size)


class _Stream(Protocol):
    """A file of the standard library, or of one made like it."""

    def read1(self, size: int, /) -> bytes:
        """Return some bytes, at least one before the end."""

    def close(self) -> None:
        """Let go."""


class _Plain:
    """The plain bytes of a file: what is there is given before the damage that follows it is complained about."""

    def __init__(self, stream: _Stream, faults: tuple[type[Exception], ...]) -> None:
        self._stream = stream
        self._faults: tuple[type[Exception], ...] = (*faults, EOFError)

    def read(self, size: int, /) -> bytes:
        try:
            return self._stream.read1(size)
        except self._faults as error:
            raise InvalidLayer(f"the compressed data is damaged or ends too early ({error})") from error


@contextmanager
def _plain(file: BinaryIO) -> Iterator[_Plain]:
    stream, *faults = _decompressed(file)
    try:
        yield _Plain(stream, tuple(faults))
    finally:
        stream.close()


def _decompressed(file: BinaryIO) -> tuple[_Stream, *tuple[type[Exception], ...]]:
    """Return a reader of what ``file`` holds, and what it raises where that is damaged."""
    start = os.pread(file.fileno(), 8, 0)
    match next((magic for magic in _MAGICS if start.startswith(magic)), b""):
        case magic if magic == _BZIP2:
            import bz2

            return bz2.BZ2File(file), OSError, ValueError
        case magic if magic == _XZ:
            import lzma

            from ocibuild.solver.operations.xz import XzFile

            return XzFile(file), lzma.LZMAError
        case magic if magic == _GZIP:
            from isal import igzip, isal_zlib

            opened: _Stream = igzip.IGzipFile(fileobj=file)  # type: ignore[no-untyped-call]  # it has no annotations
            fault: Any = isal_zlib.IsalError  # the stub takes the class for an instance
            return opened, OSError, fault
        case magic if magic == _ZSTD:
            import zstandard

            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)
            return cast("_Stream", reader), zstandard.ZstdError
        case _:
            return cast("_Stream", file), OSError
