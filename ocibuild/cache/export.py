"""The results of a build, put into a cache for other builds; whatever goes wrong is a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import Interrupted, OcibuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.cache.elsewhere import Caches
    from ocibuild.cache.place import Place
    from ocibuild.oci.image_io import BlobReader
    from ocibuild.store import LayerRecord, Store


def export(
    place: Place,
    records: Sequence[LayerRecord],
    store: Store,
    caches: Caches | None,
    warn: Callable[[str], None],
    *,
    settle: Callable[[], None] | None = None,
) -> None:
    """Put ``records`` into a cache; where that does not work, ``warn`` hears why.

    Layers that are not in the store come from ``caches``, where they were found. ``settle`` waits for what is on its
    way there already.
    """

    def open_blob(record: LayerRecord, offset: int) -> BlobReader:
        blob = record.layer.descriptor
        if caches is not None and not store.blobs.has(blob.digest):
            origin = caches.origin_of(record)
            origin.fetch(blob, progress=lambda _done: None, started=lambda _writer: None)
        return store.blobs.open_at(blob.digest, offset)

    try:
        if settle is not None:
            settle()
        place.put(records, open_blob)
    except Interrupted:
        raise
    except OcibuildError as error:
        warn(f"the cache {place.subject} was not written: {error}")
