"""Tar archives that ADD unpacks: how one is recognised, and its tree."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, BinaryIO

from ocibuild.errors import InvalidLayer, SourceError
from ocibuild.fs import Root
from ocibuild.layer import TarReader, apply
from ocibuild.oci import Compression

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.layer import Ownership

_BZIP2, _XZ, _GZIP, _ZSTD = b"BZh", b"\xfd7zXZ\0", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"
_MAGICS = (_BZIP2, _XZ, _GZIP, _ZSTD)


def is_archive(root: Root, name: str) -> bool:
    """Tell whether a file is a tar, plain or compressed with gzip, bzip2, xz or zstd, with an entry at least."""
    with _open(root, name) as file, _plain(file) as plain:
        try:
            return next(iter(TarReader(plain)), None) is not None
        except (InvalidLayer, OSError, EOFError, ValueError):
            return False


@contextmanager
def unpacked(root: Root, name: str, into: str, ownership: Ownership) -> Iterator[Root]:
    """Give the tree of an archive, unpacked into the new directory ``into``; raise SourceError where it is damaged."""
    os.mkdir(into, 0o755)
    with _open(root, name) as file, Root.open(into) as tree:
        magic = _magic(file)
        try:
            if magic in (_GZIP, _ZSTD):
                apply(file, Compression.GZIP if magic == _GZIP else Compression.ZSTD, tree, owners=ownership)
            else:
                with _plain(file) as plain:
                    apply(plain, Compression.NONE, tree, owners=ownership)
        except (InvalidLayer, EOFError, ValueError) as error:
            raise SourceError(f"{name!r} cannot be unpacked: {error}") from error
        yield tree


def _open(root: Root, name: str) -> BinaryIO:
    return open(root.open_file(name), "rb")


def _magic(file: BinaryIO) -> bytes:
    start = os.pread(file.fileno(), 8, 0)
    return next((magic for magic in _MAGICS if start.startswith(magic)), b"")


def _plain(file: BinaryIO) -> IO[bytes]:
    """Return a reader of the plain bytes of a file, which stays open when the reader is closed."""
    match _magic(file):
        case magic if magic == _BZIP2:
            import bz2

            return bz2.BZ2File(file)
        case magic if magic == _XZ:
            import lzma

            return lzma.LZMAFile(file)
        case magic if magic == _GZIP:
            import gzip

            return gzip.GzipFile(fileobj=file)
        case magic if magic == _ZSTD:
            import zstandard

            return zstandard.ZstdDecompressor().stream_reader(file, closefd=False)
        case _:
            return os.fdopen(os.dup(file.fileno()), "rb")
