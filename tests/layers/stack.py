"""A stack of layers unpacked and mounted, as a build does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.layer.owners import RealOwners
from ocibuild.oci import DiffID, Digest
from ocibuild.rootfs.overlay import OverlaySnapshotter
from ocibuild.rootfs.unpack import unpack
from ocibuild.store import Layer, Store
from tests.layers.row import described

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.layers.row import Blob, Tree


def shown(path: Path, blobs: Sequence[Blob]) -> Tree:
    """Return the tree that a stack of layers shows when it is unpacked and mounted."""
    ownership = RealOwners.of_this_process()
    with Store.open(str(path)) as store:
        layers = [Layer(DiffID(Digest.of(one.plain)), store.blobs.put(one.blob, one.media_type)) for one in blobs]
        snapshotter = OverlaySnapshotter(store, ownership)
        snapshotter.prepare()
        stack = unpack(
            store,
            layers,
            lambda layer: store.blobs.open(layer.descriptor.digest),
            ownership=ownership,
            progress=lambda _layer, _more: None,
        )
        with snapshotter.reading(stack) as root:
            return described(root)
