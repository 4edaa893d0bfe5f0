"""A blob checked on its way, however often a part of it is read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import DigestMismatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.oci import BlobReader, Descriptor


class CheckedBlob:
    """The blob that ``open_at`` gives, whose last bytes are handed out only if the whole is what it should be.

    Readers follow one another, each from where an earlier one was or before: each byte is hashed once.
    """

    def __init__(self, open_at: Callable[[int], BlobReader], descriptor: Descriptor) -> None:
        self._open_at = open_at
        self._descriptor = descriptor
        self._hasher = descriptor.digest.hasher()
        self._hashed = 0

    def open_at(self, offset: int) -> BlobReader:
        """Return a reader of the blob from ``offset`` bytes on, whose ``read`` raises DigestMismatch."""
        return _Reader(self._open_at(offset), offset, self._check)

    def _check(self, offset: int, piece: bytes) -> None:
        end = offset + len(piece)
        if end > self._hashed:
            self._hasher.update(memoryview(piece)[self._hashed - offset :])
            self._hashed = end
        size, digest = self._descriptor.size, self._descriptor.digest
        if end > size or (not piece and end < size):
            raise DigestMismatch(f"{digest}: {'more than' if piece else 'only'} {min(end, size)} of {size} bytes")
        if end == size and self._hasher.hexdigest() != digest.encoded:
            raise DigestMismatch(f"{digest}: the content has the digest {digest.algorithm}:{self._hasher.hexdigest()}")


class _Reader:
    def __init__(self, blob: BlobReader, offset: int, check: Callable[[int, bytes], None]) -> None:
        self._blob = blob
        self._offset = offset
        self._check = check

    def read(self, size: int, /) -> bytes:
        piece = self._blob.read(size)
        self._check(self._offset, piece)
        self._offset += len(piece)
        return piece

    def close(self) -> None:
        self._blob.close()
