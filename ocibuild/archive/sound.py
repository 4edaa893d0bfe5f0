"""Blobs of a layout held against what their descriptors promise; nothing is kept in memory but a piece of them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Protocol, cast

from ocibuild.errors import DigestMismatch, InvalidDocument, InvalidLayer
from ocibuild.layer.limits import Meter
from ocibuild.layer.reader import TarReader
from ocibuild.oci import DiffID, Digest, Limits, compression_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from ocibuild.oci import BlobReader, Descriptor

_PIECE = 1 << 20


class BlobSource(Protocol):
    """Where the blobs of an image come from."""

    def size_of_blob(self, descriptor: Descriptor) -> int | None:
        """Return how many bytes a blob has, None where it is missing; that promised where only reading it tells."""

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """Open a blob that is there; OcibuildError where it cannot be read."""


def read_blob(source: BlobSource, descriptor: Descriptor, *, limit: int) -> bytes:
    """Return the bytes of a document; InvalidDocument where it is missing or too large, DigestMismatch."""
    if descriptor.size > limit:
        raise InvalidDocument(f"it has {descriptor.size} bytes, and a document may have {limit}")
    _check_size(source, descriptor)
    with closing(source.open_blob(descriptor)) as blob:
        hashed = Hashed(blob, descriptor.digest)
        data = bytearray()
        while piece := hashed.read(descriptor.size + 1 - len(data)):
            data += piece
        hashed.finish(descriptor.size)
    return bytes(data)


def check_blob(source: BlobSource, descriptor: Descriptor) -> None:
    """Read a blob to its end; InvalidDocument where it is missing, DigestMismatch where it is not what it should be."""
    _check_size(source, descriptor)
    with closing(source.open_blob(descriptor)) as blob:
        Hashed(blob, descriptor.digest).finish(descriptor.size)


def check_layer(source: BlobSource, descriptor: Descriptor, like: Digest) -> DiffID:
    """Read a layer to its end, all its headers too, and return its diff ID, of the same algorithm as ``like``.

    Raises as ``check_blob`` does, and InvalidLayer where the blob is sound but no compressed tar, UnsupportedMediaType.
    """
    compression = compression_of(descriptor.media_type)
    _check_size(source, descriptor)
    with closing(source.open_blob(descriptor)) as blob:
        hashed = Hashed(blob, descriptor.digest)
        try:
            plain = Meter(Limits()).plain_bytes(cast("BinaryIO", hashed), compression)
            diff_id = _read_tar(plain, like)
        except InvalidLayer:
            hashed.finish(descriptor.size)  # a wrong digest is the cause of all else, so it is what is told
            raise
        hashed.finish(descriptor.size)
    return diff_id


def _check_size(source: BlobSource, descriptor: Descriptor) -> None:
    size = source.size_of_blob(descriptor)
    if size is None:
        raise InvalidDocument("it is not there")
    if size != descriptor.size:
        raise _other_size(size, descriptor.size)


def _other_size(size: int, promised: int) -> DigestMismatch:
    return DigestMismatch(f"it has {size} bytes, and its descriptor says {promised}")


class Hashed:
    """A blob that is hashed as it is read."""

    def __init__(self, blob: BlobReader, expected: Digest) -> None:
        self._blob = blob
        self._expected = expected
        self._hasher = expected.hasher()
        self._size = 0

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        piece = self._blob.read(size)
        self._hasher.update(piece)
        self._size += len(piece)
        return piece

    def digest(self) -> Digest:
        """Return the digest of what was read, of the algorithm that was expected."""
        return Digest.parse(f"{self._expected.algorithm}:{self._hasher.hexdigest()}")

    def finish(self, size: int) -> None:
        """Read what is left; DigestMismatch where the whole has another digest, or another number of bytes."""
        while self.read(_PIECE):
            pass
        if self.digest() != self._expected:
            raise DigestMismatch(f"its content has the digest {self.digest()}")
        if self._size != size:
            raise _other_size(self._size, size)


class _Plain:
    """The plain bytes of a layer, hashed as a tar reader takes them."""

    def __init__(self, pieces: Iterator[bytes], like: Digest) -> None:
        self._pieces = pieces
        self._like = like
        self._hasher = like.hasher()

    def read(self, _size: int = -1, /) -> bytes:
        piece = next(self._pieces, b"")
        self._hasher.update(piece)
        return piece

    def digest(self) -> Digest:
        return Digest.parse(f"{self._like.algorithm}:{self._hasher.hexdigest()}")


def _read_tar(pieces: Iterator[bytes], like: Digest) -> DiffID:
    plain = _Plain(pieces, like)
    for _ in TarReader(plain):
        pass
    while plain.read():  # what follows the end of the archive counts for the diff ID
        pass
    return DiffID(plain.digest())
