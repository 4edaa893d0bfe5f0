"""One blob from a registry into the store, once however many ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import DigestMismatch
from ocibuild.registry.ranges import fetch_in_ranges

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.oci import Descriptor, Reference
    from ocibuild.registry.client import Registry
    from ocibuild.store import BlobWriter, Store


def fetch_into(
    store: Store,
    registry: Registry,
    reference: Reference,
    blob: Descriptor,
    *,
    progress: Callable[[int], None],
    started: Callable[[BlobWriter | None], None] = lambda _writer: None,
) -> None:
    """Make sure that the store has a blob, fetched where it is missing and verified; another process is waited for.

    ``started`` is called once with the writer to follow, or None where the blob is here already; ``progress`` is told
    how many bytes are here. Raises RegistryError; DigestMismatch, and then no mirror is asked again.
    """
    with store.locks.holding(f"blob {blob.digest}"):
        if store.blobs.has(blob.digest):
            started(None)
            progress(blob.size)
            return
        try:
            with store.blobs.writer(blob) as writer:
                started(writer)
                progress(0)
                fetch_in_ranges(registry, reference, blob, writer, progress)
        except DigestMismatch as error:
            raise _named(error, reference) from error
        store.origins.add(blob.digest, reference)


class RegistryBlobs:
    """The blobs of one image in a registry, for whoever wants to have them in the store.

    ``registry`` opens the client, and is called only where a blob is missing.
    """

    def __init__(self, registry: Callable[[], Registry], store: Store, reference: Reference) -> None:
        self._registry = registry
        self._store = store
        self._reference = reference

    @property
    def subject(self) -> str:
        """The reference."""
        return str(self._reference)

    def fetch(
        self,
        blob: Descriptor,
        *,
        progress: Callable[[int], None] = lambda _done: None,
        started: Callable[[BlobWriter | None], None] = lambda _writer: None,
    ) -> None:
        """See ``fetch_into``."""
        fetch_into(self._store, self._registry(), self._reference, blob, progress=progress, started=started)

    def distrust(self) -> bool:
        """Ask no mirror any more; False where none was asked."""
        return self._registry().distrust_mirrors(self._reference)

    def stop(self) -> None:
        """End all that is under way, and all waiting for another process."""
        self._store.locks.stop()
        self._registry().stop()


def read_blob(registry: Registry, reference: Reference, blob: Descriptor) -> bytes:
    """Return a small blob, verified, without keeping it; its size is the caller's to limit.

    Raises RegistryError; DigestMismatch where no server has what was promised.
    """
    while True:
        data = b"".join(registry.blob(reference, blob))
        hasher = blob.digest.hasher()
        hasher.update(data)
        if hasher.hexdigest() == blob.digest.encoded:
            return data
        if not registry.distrust_mirrors(reference):
            raise DigestMismatch(f"{reference}: {blob.digest}: the content has another digest")


def _named(error: DigestMismatch, reference: Reference) -> DigestMismatch:
    """Return the error with the reference in front: the store does not know it."""
    if error.message.startswith(str(reference)):
        return error
    return DigestMismatch(f"{reference}: {error.message}", remedy=error.remedy)
