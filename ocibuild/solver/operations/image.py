"""The tree of an image, brought in from wherever images come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.graph import Transferred
from ocibuild.rootfs.arrivals import bring_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.graph import Image
    from ocibuild.oci import Descriptor
    from ocibuild.solver.workshop import Workshop
    from ocibuild.store import Layer, Snapshot


def materialise(
    shop: Workshop, image: Image, layers: Sequence[Layer], *, files: bool, blobs: bool, step: int
) -> tuple[Snapshot, ...]:
    """Bring in what is missing of an image, and return its snapshots, oldest first, where ``files`` are wanted.

    ``blobs`` wants every layer's blob in the store too; else one that is unpacked already is not fetched.
    """

    def report(blob: Descriptor, verb: str, done: int) -> None:
        shop.emit(Transferred(step, blob.digest.short, verb, done, blob.size))

    ownership = shop.ownership if files else None
    return bring_in(
        shop.store,
        layers,
        shop.origin_of(image),
        ownership=ownership,
        blobs=blobs,
        limits=shop.limits() if files else None,
        report=report,
    )
