"""The plain bytes of a file that may be compressed with gzip, bzip2, xz or zstd: of the archives that users have.

Layers have their own way in ``compression``: their media type says how they are compressed.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from ocibuild.errors import InvalidLayer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.layer.reader import Readable

_BZIP2, _XZ, _GZIP, _ZSTD = b"BZh", b"\xfd7zXZ\0", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"
_MAGICS = (_BZIP2, _XZ, _GZIP, _ZSTD)


def is_compressed(file: BinaryIO) -> bool:
    """Tell whether an open file begins as a compressed one does."""
    return bool(_magic(file))


@contextmanager
def plain_bytes(file: BinaryIO) -> Iterator[Readable]:
    """Give a reader of the plain bytes of an open file, from its beginning.

    What is there is given before the damage that follows it is complained about: as InvalidLayer.
    """
    stream, *faults = _decompressed(file)
    try:
        yield _Plain(stream, tuple(faults))
    finally:
        stream.close()


class _Stream(Protocol):
    """A file of the standard library, or of one made like it."""

    def read1(self, size: int, /) -> bytes:
        """Return some bytes, at least one before the end."""

    def close(self) -> None:
        """Let go."""


class _Plain:
    def __init__(self, stream: _Stream, faults: tuple[type[Exception], ...]) -> None:
        self._stream = stream
        self._faults: tuple[type[Exception], ...] = (*faults, EOFError)

    def read(self, size: int, /) -> bytes:
        try:
            return self._stream.read1(size)
        except self._faults as error:
            raise InvalidLayer(f"the compressed data is damaged or ends too early ({error})") from error


def _magic(file: BinaryIO) -> bytes:
    start = os.pread(file.fileno(), 8, 0)
    return next((magic for magic in _MAGICS if start.startswith(magic)), b"")


def _decompressed(file: BinaryIO) -> tuple[_Stream, *tuple[type[Exception], ...]]:
    """Return a reader of what ``file`` holds, and what it raises where that is damaged."""
    match _magic(file):
        case magic if magic == _BZIP2:
            import bz2

            return bz2.BZ2File(file), OSError, ValueError
        case magic if magic == _XZ:
            import lzma

            from ocibuild.layer.xz import XzFile

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
