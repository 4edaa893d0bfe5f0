"""Images of a registry as what others copy from and to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.errors import DigestMismatch
from ocibuild.oci import is_foreign
from ocibuild.registry.blobs.checked import CheckedBlob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ocibuild.oci import BlobReader, Descriptor, Reference
    from ocibuild.registry.blobs.streamed import GrowingBlob
    from ocibuild.registry.client import Registry
    from ocibuild.store import Origins


class RegistrySource:
    """The image or index that ``reference`` names in a registry; see ``ocibuild.oci.ImageSource``."""

    def __init__(self, registry: Registry, reference: Reference, origins: Origins) -> None:
        self._registry = registry
        self._reference = reference
        self._origins = origins
        self._root: tuple[bytes, Descriptor] | None = None

    @property
    def subject(self) -> str:
        """The reference."""
        return str(self._reference)

    def root(self) -> Descriptor:
        """See ``ImageSource``."""
        self._root = self._registry.manifest(self._reference)
        return self._root[1]

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """See ``ImageSource``."""
        if self._root and self._root[1].digest == descriptor.digest:
            data, found = self._root
        else:
            data, found = self._registry.manifest(self._reference.with_digest(descriptor.digest))
        if found.size != descriptor.size:
            raise DigestMismatch(
                f"{self.subject}: {descriptor.digest} has {found.size} bytes, where {descriptor.size} were promised"
            )
        return data

    def open_blob(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        """See ``ImageSource``."""
        self._origins.add(descriptor.digest, self._reference)
        return PieceReader(self._registry.blob(self._reference, descriptor, offset))


class RegistryDestination:
    """One repository, where what is copied gets the names ``references``; see ``ocibuild.oci.ImageDestination``.

    ``origins`` knows which repositories have a blob, so that the registry can take it from another one of its own.
    """

    def __init__(self, registry: Registry, references: Sequence[Reference], origins: Origins) -> None:
        self._registry = registry
        self._references = references
        self._origins = origins

    @property
    def subject(self) -> str:
        """The first reference."""
        return str(self._references[0])

    @property
    def parallel(self) -> int:
        """See ``ImageDestination``."""
        return self._registry.parallel(self._references[0])

    def has_blob(self, descriptor: Descriptor) -> bool:
        """See ``ImageDestination``; a foreign layer comes from where it was made, and need not be there."""
        if is_foreign(descriptor):
            return True
        has = self._registry.blob_exists(self._references[0], descriptor.digest)
        if has:
            self._origins.add(descriptor.digest, self._references[0])
        return has

    def put_blob(
        self, descriptor: Descriptor, open_at: Callable[[int], BlobReader], progress: Callable[[int], None]
    ) -> None:
        """See ``ImageDestination``."""
        checked = CheckedBlob(open_at, descriptor)
        there = self._references[0]
        known = self._origins.repositories(descriptor.digest, there.domain)
        source = next((path for path in known if path != there.path), None)
        self._registry.upload_blob(there, descriptor, checked.open_at, progress, mount_from=source)
        self._origins.add(descriptor.digest, there)

    def put_growing(self, blob: GrowingBlob) -> None:
        """Put a blob there while it is being made; raises RegistryError, IncompleteBlob."""
        there = self._references[0]
        self._origins.add(self._registry.stream_blob(there, blob), there)

    def obtain(self, descriptor: Descriptor) -> bool:
        """Tell whether the repository has a blob by now, if need be from another one of its registry."""
        there = self._references[0]
        if self.has_blob(descriptor):
            return True
        known = self._origins.repositories(descriptor.digest, there.domain)
        return any(path != there.path and self._registry.take_blob(there, descriptor, path) for path in known)

    def put_manifest(self, descriptor: Descriptor, data: bytes) -> None:
        """See ``ImageDestination``."""
        below = replace(self._references[0], tag=None, digest=descriptor.digest)
        self._registry.push_manifest(below, data, descriptor.media_type)

    def finish(self, descriptor: Descriptor, data: bytes) -> None:
        """See ``ImageDestination``."""
        for reference in self._references:
            self._registry.push_manifest(reference, data, descriptor.media_type)


class PieceReader:
    """Pieces of bytes, read as from a file; ``close()`` ends where they come from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._at = 0

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, at least one before the end."""
        if self._at == len(self._piece):
            self._piece, self._at = next(self._pieces, b""), 0
        part = self._piece[self._at : self._at + size]
        self._at += len(part)
        return part

    def close(self) -> None:
        """Stop reading; safe to repeat."""
        if hasattr(self._pieces, "close"):
            self._pieces.close()
