"""Images of a registry as what others copy from and to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.errors import DigestMismatch
from ocibuild.registry.checked import CheckedBlob
from ocibuild.registry.config import PARALLEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ocibuild.oci import BlobReader, Descriptor, Digest, Reference
    from ocibuild.registry.client import Registry

    MountFrom = Callable[[Digest], str | None]


class RegistrySource:
    """The image or index that ``reference`` names in a registry; see ``ocibuild.oci.ImageSource``."""

    def __init__(self, registry: Registry, reference: Reference) -> None:
        self._registry = registry
        self._reference = reference

    @property
    def subject(self) -> str:
        """The reference."""
        return str(self._reference)

    def root(self) -> Descriptor:
        """See ``ImageSource``."""
        return self._registry.manifest(self._reference)[1]

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """See ``ImageSource``."""
        data, found = self._registry.manifest(self._reference.with_digest(descriptor.digest))
        if found.size != descriptor.size:
            raise DigestMismatch(
                f"{self.subject}: {descriptor.digest} has {found.size} bytes, where {descriptor.size} were promised"
            )
        return data

    def open_blob(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        """See ``ImageSource``."""
        return PieceReader(self._registry.blob(self._reference, descriptor, offset))


class RegistryDestination:
    """One repository, where what is copied gets the names ``references``; see ``ocibuild.oci.ImageDestination``.

    ``mount_from`` says which repository of the registry may have a blob; ``pushed`` hears of each that is there.
    """

    def __init__(
        self,
        registry: Registry,
        references: Sequence[Reference],
        *,
        mount_from: MountFrom = lambda _digest: None,
        pushed: Callable[[Digest], None] = lambda _digest: None,
    ) -> None:
        self._registry = registry
        self._references = references
        self._mount_from = mount_from
        self._pushed = pushed

    @property
    def subject(self) -> str:
        """The first reference."""
        return str(self._references[0])

    @property
    def parallel(self) -> int:
        """See ``ImageDestination``; the configuration of the registry may allow fewer."""
        return PARALLEL

    def has_blob(self, descriptor: Descriptor) -> bool:
        """See ``ImageDestination``."""
        has = self._registry.blob_exists(self._references[0], descriptor.digest)
        if has:
            self._pushed(descriptor.digest)
        return has

    def put_blob(
        self, descriptor: Descriptor, open_at: Callable[[int], BlobReader], progress: Callable[[int], None]
    ) -> None:
        """See ``ImageDestination``."""
        checked = CheckedBlob(open_at, descriptor)
        source = self._mount_from(descriptor.digest)
        self._registry.upload_blob(self._references[0], descriptor, checked.open_at, progress, mount_from=source)
        self._pushed(descriptor.digest)

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
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, at least one before the end."""
        piece = self._rest or next(self._pieces, b"")
        self._rest = piece[size:]
        return piece[:size] if self._rest else piece

    def close(self) -> None:
        """Stop reading; safe to repeat."""
        if hasattr(self._pieces, "close"):
            self._pieces.close()
