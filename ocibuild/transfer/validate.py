"""An image validated where it is, in a registry or in any other place that images are copied from; nothing is kept."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ocibuild.archive import Fault, Report, validate_image
from ocibuild.errors import DigestMismatch, InvalidDocument, InvalidLayer, UnsupportedMediaType
from ocibuild.oci import is_foreign, is_index, is_manifest

if TYPE_CHECKING:
    from ocibuild.oci import BlobReader, Descriptor
    from ocibuild.oci.image_io import ImageSource
    from ocibuild.transfer.ends import Ends
    from ocibuild.transfer.locations import Location


class _Blobs:
    """The blobs of an image that may be copied; see ``ocibuild.archive.sound.BlobSource``."""

    def __init__(self, source: ImageSource) -> None:
        self._source = source

    def size_of_blob(self, descriptor: Descriptor) -> int | None:
        """Return what is promised: the source reads so much and no more. A foreign layer is elsewhere."""
        return None if is_foreign(descriptor) else descriptor.size

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """See ``BlobSource``."""
        if is_manifest(descriptor.media_type) or is_index(descriptor.media_type):
            return io.BytesIO(self._source.read_manifest(descriptor))
        return self._source.open_blob(descriptor)


def validate_location(ends: Ends, location: Location, *, all_faults: bool = False) -> Report:
    """Validate what is at a location, all platforms of an index; raises OcibuildError where there is nothing."""
    subject = str(location)
    try:
        with ends.open_source(location) as source:
            return validate_image(_Blobs(source), source.root(), subject=subject, all_faults=all_faults)
    except (InvalidDocument, InvalidLayer, DigestMismatch, UnsupportedMediaType) as error:  # what names all else
        return Report(subject, (Fault(subject, error.message.removeprefix(f"{subject}: ")),), 0, 0)
