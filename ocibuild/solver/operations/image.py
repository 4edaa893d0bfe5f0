"""Layers with all that lies below them, brought in from wherever they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.graph import Transferred
from ocibuild.rootfs.arrivals import bring_in
from ocibuild.solver.wanted import Extent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ocibuild.oci import Descriptor, Digest
    from ocibuild.rootfs.arrivals import BlobOrigin
    from ocibuild.solver.workshop import Workshop
    from ocibuild.store import BlobWriter, Layer, Snapshot


class Origins:
    """Blobs that come from several places, see ``BlobOrigin``; ``places`` has the one of each, by its digest."""

    def __init__(self, places: Mapping[Digest, BlobOrigin]) -> None:
        self._places = places
        self._each = list({id(place): place for place in places.values()}.values())

    @property
    def subject(self) -> str:
        """See ``BlobOrigin``."""
        return ", ".join(place.subject for place in self._each)

    def fetch(
        self, blob: Descriptor, *, progress: Callable[[int], None], started: Callable[[BlobWriter | None], None]
    ) -> None:
        """See ``BlobOrigin``."""
        self._places[blob.digest].fetch(blob, progress=progress, started=started)

    def distrust(self) -> bool:
        """See ``BlobOrigin``."""
        return any(list(map(_distrust, self._each)))  # each of them

    def stop(self) -> None:
        """See ``BlobOrigin``."""
        for place in self._each:
            place.stop()


def _distrust(place: BlobOrigin) -> bool:
    return place.distrust()


def materialise(
    shop: Workshop,
    layers: Sequence[Layer],
    origin: BlobOrigin,
    extent: Extent,
    *,
    blobs: Sequence[Layer],
    verified: Sequence[Layer],
    step: int,
) -> tuple[Snapshot, ...]:
    """Bring in what is missing of a stack of layers, and return its snapshots or outlines, as ``extent`` says.

    ``blobs`` are those of the layers whose blobs the store is to have too; else one that is unpacked already is not
    fetched. Those in ``verified`` are held against their diff IDs even where nothing is unpacked.
    """

    def report(blob: Descriptor, verb: str, done: int) -> None:
        shop.emit(Transferred(step, blob.digest.short, verb, done, blob.size))

    return bring_in(
        shop.store,
        layers,
        origin,
        ownership=None if extent is Extent.NOTHING else shop.ownership,
        blobs=blobs,
        verified=verified,
        limits=shop.limits(),
        report=report,
        outline=extent is Extent.OUTLINE,
    )
