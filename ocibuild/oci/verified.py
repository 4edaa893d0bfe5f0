"""Bytes from strangers, held against their descriptor as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import DigestMismatch, InvalidDocument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.oci.descriptor import Descriptor
    from ocibuild.oci.image_io import BlobReader

_PIECE = 1 << 20


def verified(reader: BlobReader, descriptor: Descriptor) -> Iterator[bytes]:
    """Yield the blob in pieces of 1 MiB at most; raise DigestMismatch where it is another than the descriptor says.

    No more is yielded than the descriptor's size, and only what was yielded to the end is known to be right.
    """
    hasher = descriptor.digest.hasher()
    size = 0
    while piece := reader.read(_PIECE):
        size += len(piece)
        if size > descriptor.size:
            raise DigestMismatch(f"{descriptor.digest}: more than the {descriptor.size} bytes it should have")
        hasher.update(piece)
        yield piece
    if size != descriptor.size:
        raise DigestMismatch(f"{descriptor.digest}: {size} bytes where {descriptor.size} should be")
    if hasher.hexdigest() != descriptor.digest.encoded:
        actual = f"{descriptor.digest.algorithm}:{hasher.hexdigest()}"
        raise DigestMismatch(f"{descriptor.digest}: the content has the digest {actual}")


def read_verified(reader: BlobReader, descriptor: Descriptor, *, limit: int) -> bytes:
    """Return the bytes of a document; InvalidDocument where it has more than ``limit``, DigestMismatch."""
    if descriptor.size > limit:
        raise InvalidDocument(
            f"{descriptor.digest}: it has {descriptor.size} bytes, and such a document may have {limit}"
        )
    return b"".join(verified(reader, descriptor))
