"""An image of a layout into the store, each blob verified on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.archive.contents import DEEPEST_INDEX
from ocibuild.archive.layout import blob_name, open_source, read_file
from ocibuild.archive.naming import CONTAINERD_NAME
from ocibuild.errors import InvalidDocument, NoMatchingPlatform, NotFound, OcibuildError
from ocibuild.oci import Descriptor, ImageConfig, Index, Manifest, mediatypes, parse_manifest, select
from ocibuild.store import REF_NAME, StoredImage, pair_layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.archive.layout import Source
    from ocibuild.oci import Digest, Platform
    from ocibuild.store import Blobs

_DOCUMENT_LIMIT = 16 << 20  # bytes
_PIECE = 1 << 20


def load_layout(path: str, blobs: Blobs, *, tag: str | None, digest: Digest | None, platform: Platform) -> StoredImage:
    """Put an image of the layout at ``path``, a directory or a tar, into the store, and return it.

    It is the one with ``digest``, else with ``tag``; without either, ``latest`` or the only one. Raises NotFound,
    NoMatchingPlatform, InvalidDocument, DigestMismatch, OcibuildError, each naming the layout.
    """
    try:
        with open_source(path) as source:
            return _load(source, blobs, _chosen(source, tag, digest), platform, depth=0)
    except OcibuildError as error:
        if not error.message.startswith(path):
            error.message = f"{path}: {error.message}"
        raise


def _chosen(source: Source, tag: str | None, digest: Digest | None) -> Descriptor:
    index = parse_manifest(read_file(source, "index.json", limit=_DOCUMENT_LIMIT), mediatypes.OCI_INDEX)
    entries = index.manifests if isinstance(index, Index) else ()
    if digest is not None:
        return next((entry for entry in entries if entry.digest == digest), None) or _by_digest(source, digest)
    found = [entry for entry in entries if (tag or "latest") in _tags(entry)]
    if not found and tag is None and len(entries) == 1:
        found = list(entries)
    if not found:
        names = ", ".join(sorted({name for entry in entries for name in _tags(entry)})) or "no tag at all"
        raise NotFound(f"no image with the tag {tag or 'latest'!r} in the layout", remedy=f"it has {names}")
    return found[-1]


def _tags(entry: Descriptor) -> Iterator[str]:
    for name in (REF_NAME, CONTAINERD_NAME):
        value = entry.annotations.get(name, "")
        tag = value.rpartition(":")[2]
        if tag and "/" not in tag:
            yield tag


def _by_digest(source: Source, digest: Digest) -> Descriptor:
    """Return the descriptor of a manifest that an index of the layout may name, or nothing at all."""
    size = source.size_of(blob_name(digest))
    if size is None:
        raise NotFound(f"no image with the digest {digest} in the layout")
    if size > _DOCUMENT_LIMIT:
        raise InvalidDocument(f"{digest} has {size} bytes, and a manifest may have {_DOCUMENT_LIMIT}")
    with source.open_file(blob_name(digest)) as file:
        document = parse_manifest(file.read(size))
    return Descriptor(document.media_type, digest, size)


def _load(source: Source, blobs: Blobs, entry: Descriptor, platform: Platform, *, depth: int) -> StoredImage:
    _keep(source, blobs, entry)
    document = parse_manifest(blobs.read(entry.digest), entry.media_type)
    if isinstance(document, Index):
        chosen = select(document.manifests, platform)
        if chosen is None or depth >= DEEPEST_INDEX:
            raise NoMatchingPlatform(f"no image for {platform} in {entry.digest}", remedy="choose one with --platform")
        return _load(source, blobs, chosen, platform, depth=depth + 1)
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
