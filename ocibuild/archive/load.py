"""An image of a layout into the store, each blob verified on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.archive.choice import chosen
from ocibuild.archive.contents import DEEPEST_INDEX
from ocibuild.archive.layout import blob_name, open_source
from ocibuild.errors import InvalidDocument, NoMatchingPlatform, naming
from ocibuild.oci import ImageConfig, Index, parse_manifest, select
from ocibuild.store import StoredImage, pair_layers

if TYPE_CHECKING:
    from ocibuild.archive.layout import Source
    from ocibuild.oci import Descriptor, Digest, Manifest, Platform
    from ocibuild.store import Blobs

_PIECE = 1 << 20


def load_layout(path: str, blobs: Blobs, *, tag: str | None, digest: Digest | None, platform: Platform) -> StoredImage:
    """Put an image of the layout at ``path``, a directory or a tar, into the store, and return it.

    It is the one with ``digest``, else with ``tag``; without either, ``latest`` or the only one. Raises NotFound,
    NoMatchingPlatform, InvalidDocument, DigestMismatch, OcibuildError, each naming the layout.
    """
    with naming(path), open_source(path) as source:
        return _load(source, blobs, chosen(source, tag, digest), platform, depth=0)


def _load(source: Source, blobs: Blobs, entry: Descriptor, platform: Platform, *, depth: int) -> StoredImage:
    _keep(source, blobs, entry)
    document = parse_manifest(blobs.read(entry.digest), entry.media_type)
    if isinstance(document, Index):
        child = select(document.manifests, platform)
        if child is None or depth >= DEEPEST_INDEX:
            raise NoMatchingPlatform(f"no image for {platform} in {entry.digest}", remedy="choose one with --platform")
        return _load(source, blobs, child, platform, depth=depth + 1)
    return _load_image(source, blobs, entry, document)


def _load_image(source: Source, blobs: Blobs, entry: Descriptor, manifest: Manifest) -> StoredImage:
    _keep(source, blobs, manifest.config)
    config = ImageConfig.from_bytes(blobs.read(manifest.config.digest))
    for layer in pair_layers(manifest, config):
        _keep(source, blobs, layer.descriptor)
    return StoredImage(entry, manifest, config)


def _keep(source: Source, blobs: Blobs, descriptor: Descriptor) -> None:
    if blobs.has(descriptor.digest):
        return
    name = blob_name(descriptor.digest)
    if source.size_of(name) is None:
        raise InvalidDocument(f"{name} is not there")
    with source.open_file(name) as file, blobs.writer(descriptor) as blob:
        while piece := file.read(_PIECE):
            blob.write(piece)
