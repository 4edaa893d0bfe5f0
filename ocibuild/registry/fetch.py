"""One blob from a registry into the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import DigestMismatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.oci import Descriptor, Reference
    from ocibuild.registry.client import Registry
    from ocibuild.store import Store


def fetch_into(
    store: Store, registry: Registry, reference: Reference, blob: Descriptor, progress: Callable[[int], None]
) -> None:
    """Fetch a blob and keep it, verified; ``progress`` is told how many bytes are here.

    Where what came from the mirrors is not what was promised, it is fetched from the origin alone. Raises
    RegistryError, DigestMismatch.
    """
    try:
        _fetch(store, registry, reference, blob, progress, from_mirrors=True)
    except DigestMismatch as error:
        if not registry.has_mirrors(reference):
            raise _named(error, reference) from error
        _fetch(store, registry, reference, blob, progress, from_mirrors=False)


def _fetch(
    store: Store,
    registry: Registry,
    reference: Reference,
    blob: Descriptor,
    progress: Callable[[int], None],
    *,
    from_mirrors: bool,
) -> None:
    with store.blobs.writer(blob) as writer:

        def write(piece: bytes) -> None:
            writer.write(piece)
            progress(writer.size)

        progress(0)
        registry.fetch_blob(reference, blob, write, from_mirrors=from_mirrors)


def _named(error: DigestMismatch, reference: Reference) -> DigestMismatch:
    """Return the error with the reference in front: the store does not know it."""
    if error.message.startswith(str(reference)):
        return error
    return DigestMismatch(f"{reference}: {error.message}", remedy=error.remedy)
