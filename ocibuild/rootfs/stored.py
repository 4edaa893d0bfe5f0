"""The layers of an image of the store as snapshots, unpacked where they are not yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.layer.owners import Ownership
    from ocibuild.oci import Limits
    from ocibuild.store import Layer, Snapshot, Store


def unpack_stored(
    store: Store, layers: Sequence[Layer], *, ownership: Ownership, limits: Callable[[], Limits]
) -> tuple[Snapshot, ...]:
    """Return the snapshots of layers whose blobs the store has, oldest first, unpacked where they are not yet.

    Raises as ``unpack`` does, and NotInStore.
    """
    found = store.snapshots.by_layers(layers)
    if found is not None:
        return found
    from ocibuild.rootfs.unpack import unpack  # most images that are run have been run before

    return unpack(
        store,
        layers,
        lambda layer: store.blobs.open(layer.descriptor.digest),
        ownership=ownership,
        progress=lambda _layer, _more: None,
        limits=limits(),
    )
