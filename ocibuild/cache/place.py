"""What a cache is, wherever it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ocibuild.oci import Digest
    from ocibuild.oci.image_io import BlobReader
    from ocibuild.rootfs.arrivals import BlobOrigin
    from ocibuild.store import LayerRecord

OpenBlob: TypeAlias = "Callable[[LayerRecord, int], BlobReader]"
"""Gives the blob of a record's layer, from an offset on."""


class Place(Protocol):
    """Where a cache is kept; safe to use from threads. Everything raises OcibuildError.

    What it gives is as it was found there, but that each record is for the key it was looked up by: who uses a layer
    holds it against its digests.
    """

    @property
    def subject(self) -> str:
        """What messages call it."""

    def find(self, keys: Sequence[Digest]) -> Mapping[Digest, LayerRecord]:
        """Return what is kept under these keys."""

    def origin(self) -> BlobOrigin:
        """Return what brings the blobs of its layers into the store."""

    def put(self, records: Sequence[LayerRecord], open_blob: OpenBlob) -> None:
        """Keep these, in place of what was kept under their keys. ``open_blob`` is called for what is not there yet."""
