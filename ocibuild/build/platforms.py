"""Images of several platforms in one index (image-spec, "OCI Image Index")."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.graph import Finished, Started, Warned
from ocibuild.oci import Index, mediatypes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ocibuild.graph import Emit, Event
    from ocibuild.oci import Descriptor, Platform
    from ocibuild.store import Blobs


def write_index(
    blobs: Blobs, images: Sequence[Descriptor], annotations: Mapping[str, str], *, is_oci: bool = True
) -> Descriptor:
    """Put an index of images, whose descriptors have their platforms, into the store, and return its descriptor.

    Its media type is OCI's, or else that of docker's manifest list.
    """
    media_type = mediatypes.OCI_INDEX if is_oci else mediatypes.DOCKER_MANIFEST_LIST
    index = Index(media_type, tuple(images), annotations=dict(annotations))
    return blobs.put(index.to_bytes(), media_type)


def labelled(emit: Emit, platform: Platform, warned: set[str]) -> Emit:
    """Return what tells of the steps of one platform among several, which their labels name, as docker's do.

    ``warned`` has the warnings of all: each is told of once.
    """

    def tell(event: Event) -> None:
        if isinstance(event, Warned):
            if event.message in warned:
                return
            warned.add(event.message)
        if isinstance(event, Started | Finished) and event.label.startswith("["):
            event = replace(event, label=f"[{platform} {event.label[1:]}")
        emit(event)

    return tell
