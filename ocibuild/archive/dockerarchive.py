"""``manifest.json`` of the archives that ``docker save`` writes, read and written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ocibuild.archive.layout import blob_name
from ocibuild.errors import InvalidDocument, InvalidReference, NotFound, UnsupportedMediaType
from ocibuild.oci import Index, Reference, documents, mediatypes, parse_manifest
from ocibuild.oci.limits import MAX_LAYERS
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ocibuild.oci import Digest

_MAX_IMAGES = 1000
_MEMBERS = ("Config", "RepoTags", "Layers")


@dataclass(frozen=True, slots=True)
class ArchivedImage:
    """An image of a docker archive: where its config and its layers are, lowest first, and its names as they stand."""

    config: str
    names: tuple[str, ...]
    layers: tuple[str, ...]


def parse_images(data: bytes) -> tuple[ArchivedImage, ...]:
    """Return the images that ``manifest.json`` lists; raises InvalidDocument."""
    listed = documents.loads_objects(data, what="manifest.json")
    if len(listed) > _MAX_IMAGES:
        raise InvalidDocument(f"manifest.json: {len(listed)} images, more than {_MAX_IMAGES}")
    with documents.within("manifest.json"):
        return tuple(map(_image, listed))


def _image(document: Mapping[str, Any]) -> ArchivedImage:
    spelt = {key.casefold(): key for key in _MEMBERS}
    for key in document:
        if key != spelt.get(key.casefold(), key):
            raise InvalidDocument(f"the member {key!r} is spelt {spelt[key.casefold()]!r}")
    layers = documents.strings(document, "Layers")
    if len(layers) > MAX_LAYERS:
        raise InvalidDocument(f"{len(layers)} layers, and an image may have {MAX_LAYERS}")
    return ArchivedImage(documents.text(document, "Config"), documents.strings(document, "RepoTags"), layers)


def find_image(images: Sequence[ArchivedImage], reference: Reference | None, number: int | None) -> ArchivedImage:
    """Return the image with a name, or with a place in the list; without either, the only one. Raises NotFound."""
    if number is not None:
        if number >= len(images):
            raise NotFound(f"no image with the number {number}", remedy=f"it has {len(images)}, from 0 on")
        return images[number]
    if reference is None:
        if len(images) == 1:
            return images[0]
        raise NotFound(f"it has {len(images)} images", remedy=f"name one of {_all_names(images)}, or @0 and so on")
    for image in images:
        if str(reference) in map(_full_name, image.names):
            return image
    raise NotFound(f"no image with the name {reference.familiar()}", remedy=f"it has {_all_names(images)}")


def _full_name(name: str) -> str:
    try:
        return str(Reference.parse(name))
    except InvalidReference:
        return ""


def _all_names(images: Sequence[ArchivedImage]) -> str:
    names = [name for image in images for name in image.names]
    return ", ".join(f"{name:.80}" for name in names[:20]) or "no name at all"


def archive_manifest(
    subject: str, manifest: bytes, media_type: str, names: Sequence[Reference], there: Collection[Digest]
) -> list[dict[str, Any]]:
    """Return the ``manifest.json`` of an archive that has the blobs ``there`` where a layout has them.

    Raises UnsupportedMediaType for what is not one image, NotFound where a layer of it is elsewhere.
    """
    document = parse_manifest(manifest, media_type)
    if isinstance(document, Index):
        raise index_refused(subject)
    if document.config.media_type not in mediatypes.CONFIGS:
        raise UnsupportedMediaType(f"{subject}: what is copied is no image, and a docker archive holds images alone")
    for layer in document.layers:
        if layer.digest not in there:
            raise NotFound(f"{subject}: the foreign layer {layer.digest} is not there, and a docker archive needs it")
    return [
        {
            "Config": blob_name(document.config.digest),
            "RepoTags": [name.familiar() for name in names],
            "Layers": [blob_name(layer.digest) for layer in document.layers],
        }
    ]


def index_refused(subject: str) -> UnsupportedMediaType:
    """Return the error that a docker archive has no index."""
    return UnsupportedMediaType(
        f"{subject}: a docker archive holds one image, not an index",
        remedy="copy one platform, or to oci-archive:",
    )
