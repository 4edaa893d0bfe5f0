"""Which blobs an image is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocibuild.errors import DigestMismatch, InvalidDocument
from ocibuild.oci import Index, is_foreign, is_index, is_manifest, parse_manifest

if TYPE_CHECKING:
    from ocibuild.oci import Descriptor, Digest
    from ocibuild.store import Blobs

DEEPEST_INDEX: Final = 8
"""Indexes that may lie in one another."""


def contents(blobs: Blobs, descriptor: Descriptor) -> tuple[Descriptor, ...]:
    """Return every blob that ``descriptor`` reaches, itself included: each once, sorted by digest.

    A layer that may not be distributed and says where it comes from is left out where the store does not have it.
    Raises NotInStore for any other that is missing, DigestMismatch for one of another size than its descriptor says,
    InvalidDocument where indexes lie too deep in one another.
    """
    found: dict[Digest, Descriptor] = {}
    _collect(blobs, descriptor, found, depth=0)
    return tuple(found[digest] for digest in sorted(found))


def _collect(blobs: Blobs, descriptor: Descriptor, found: dict[Digest, Descriptor], *, depth: int) -> None:
    if descriptor.digest in found or _stays_away(blobs, descriptor):
        return
    if is_index(descriptor.media_type) and depth >= DEEPEST_INDEX:
        raise InvalidDocument(f"{descriptor.digest}: more than {DEEPEST_INDEX} indexes in one another")
    size = blobs.size(descriptor.digest)
    if size != descriptor.size:
        raise DigestMismatch(
            f"{descriptor.digest}: the blob in the store has {size} bytes where {descriptor.size} should be",
            remedy=f"remove {blobs.path(descriptor.digest)} and pull or build the image again",
        )
    found[descriptor.digest] = descriptor
    for below in _below(blobs, descriptor):
        _collect(blobs, below, found, depth=depth + 1)


def _below(blobs: Blobs, descriptor: Descriptor) -> tuple[Descriptor, ...]:
    """Return what a manifest or index names; a blob of any other kind names nothing."""
    if not is_manifest(descriptor.media_type) and not is_index(descriptor.media_type):
        return ()
    document = parse_manifest(blobs.read(descriptor.digest), descriptor.media_type, trusted=True)
    return document.manifests if isinstance(document, Index) else (document.config, *document.layers)


def _stays_away(blobs: Blobs, descriptor: Descriptor) -> bool:
    return is_foreign(descriptor) and not blobs.has(descriptor.digest)
