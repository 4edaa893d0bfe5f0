"""The layers of an image, from a registry into the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import UnsupportedMediaType
from ocibuild.oci import mediatypes
from ocibuild.registry.fetch import fetch_into
from ocibuild.registry.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.oci import Descriptor
    from ocibuild.registry.client import Registry
    from ocibuild.registry.parallel import Stop
    from ocibuild.registry.resolve import Resolved
    from ocibuild.store import Store


def pull_layers(
    registry: Registry,
    store: Store,
    resolved: Resolved,
    *,
    progress: Callable[[Descriptor, int], None],
    parallel: int = 3,
) -> None:
    """Fetch the layers that the store does not have, ``parallel`` at a time; each is verified as it is written.

    ``progress`` is told how many bytes of a layer are here; it is called from several threads. Layers that were
    complete when another failed stay. Raises RegistryError, DigestMismatch; UnsupportedMediaType before anything is
    fetched.
    """
    layers = {layer.digest: layer for layer in resolved.manifest.layers}
    for layer in layers.values():
        _check_type(layer, resolved)
    missing = [layer for layer in layers.values() if not store.blobs.has(layer.digest)]

    def fetch(layer: Descriptor, stop: Stop) -> None:
        def report(done: int) -> None:
            stop.check()
            progress(layer, done)

        fetch_into(store, registry, resolved.reference, layer, report)

    if missing:
        in_parallel(fetch, missing, limit=parallel, abandon=registry.stop)


def _check_type(layer: Descriptor, resolved: Resolved) -> None:
    try:
        mediatypes.compression_of(layer.media_type)
    except UnsupportedMediaType as error:
        raise UnsupportedMediaType(f"{resolved.reference}: {error.message}", remedy=error.remedy) from error
