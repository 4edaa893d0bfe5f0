"""What images are copied from and to: a source and a destination for each transport, joined by ``transfer``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.oci.descriptor import Descriptor


class BlobReader(Protocol):
    """The bytes of a blob, in order."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, at least one before the end."""

    def close(self) -> None:
        """Stop reading; safe to repeat."""


class ImageSource(Protocol):
    """Where an image or index is read from; safe to use from threads. ``subject`` is what errors call it.

    Blobs are as they come: who reads them checks size and digest. Everything raises OcibuildError.
    """

    @property
    def subject(self) -> str:
        """What errors call it: a reference, a path."""

    def root(self) -> Descriptor:
        """Return the descriptor of what was named: a manifest or an index."""

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """Return a manifest or index as it was written, verified."""

    def open_blob(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        """Return a reader of a blob, from ``offset`` bytes on. The caller closes it."""


class ImageDestination(Protocol):
    """Where an image or index is written to; safe to use from threads.

    Blobs come first, then the manifests below an index, then ``finish``, which alone gives a name.
    """

    @property
    def subject(self) -> str:
        """What errors call it: a reference, a path."""

    @property
    def parallel(self) -> int:
        """How many blobs may be written at a time."""

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Tell whether the blob is there already."""

    def put_blob(
        self, descriptor: Descriptor, open_at: Callable[[int], BlobReader], progress: Callable[[int], None]
    ) -> None:
        """Write a blob and verify size and digest; ``open_at`` gives its bytes from an offset on.

        ``progress`` hears how many bytes are there. Raises DigestMismatch; then nothing is kept.
        """

    def put_manifest(self, descriptor: Descriptor, data: bytes) -> None:
        """Write a manifest that an index names."""

    def finish(self, descriptor: Descriptor, data: bytes) -> None:
        """Write what was copied, under its name."""
