"""Images for the tests, made in a store."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ocibuild.oci import (
    Descriptor,
    DiffID,
    Digest,
    ImageConfig,
    Index,
    Limits,
    Manifest,
    Platform,
    RunConfig,
    mediatypes,
)
from ocibuild.registry import RegistryBlobs
from ocibuild.rootfs.arrivals import bring_in
from ocibuild.store import Layer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.oci import BlobReader, Reference
    from ocibuild.registry import Registry, Resolved
    from ocibuild.store import Store

AMD64 = Platform.parse("linux/amd64")


def put_image(
    store: Store,
    layers: Sequence[bytes] = (b"one", b"two"),
    *,
    platform: Platform = AMD64,
    layer_type: str = mediatypes.OCI_LAYER,
    diff_ids: int | None = None,
) -> Descriptor:
    """Put an image of these layers (bytes of any kind) into the store; return its manifest's descriptor."""
    blobs = [store.blobs.put(layer, layer_type) for layer in layers]
    config = ImageConfig(
        platform=platform,
        created=None,
        author="",
        config=RunConfig(),
        diff_ids=tuple(DiffID(Digest.of(layer)) for layer in layers)[:diff_ids],
        history=(),
    )
    config_blob = store.blobs.put(config.to_bytes(), mediatypes.OCI_CONFIG)
    manifest = Manifest(mediatypes.OCI_MANIFEST, config_blob, tuple(blobs))
    return store.blobs.put(manifest.to_bytes(), mediatypes.OCI_MANIFEST)


def put_index(store: Store, platforms: Sequence[str]) -> Descriptor:
    """Put an index of one image for each platform into the store; return its descriptor."""
    images = []
    for text in platforms:
        platform = Platform.parse(text)
        image = put_image(store, [text.encode()], platform=platform)
        images.append(Descriptor(image.media_type, image.digest, image.size, platform=platform))
    return store.blobs.put(Index(mediatypes.OCI_INDEX, tuple(images)).to_bytes(), mediatypes.OCI_INDEX)


def nothing(*_: object) -> None:
    """Take progress and do nothing."""


def pull_layers(
    registry: Registry, store: Store, resolved: Resolved, *, progress: Callable[[Descriptor, int], object]
) -> None:
    """Bring the layers of an image into the store, packed as they are."""
    layers = [Layer(DiffID(layer.digest), layer) for layer in resolved.manifest.layers]
    blobs = RegistryBlobs(lambda: registry, store, resolved.reference)

    def report(blob: Descriptor, verb: str, done: int) -> None:
        assert verb == "downloading"
        progress(blob, done)

    bring_in(store, layers, blobs, ownership=None, blobs=layers, verified=(), limits=Limits(), report=report)


def bytes_at(data: bytes) -> Callable[[int], io.BytesIO]:
    """Return what opens ``data`` from an offset on."""
    return lambda offset: io.BytesIO(data[offset:])


def fetch_blob(
    registry: Registry, reference: Reference, descriptor: Descriptor, write: Callable[[bytes], object]
) -> None:
    """Give a whole blob to ``write``."""
    for piece in registry.blob(reference, descriptor):
        write(piece)


def push_blob(
    registry: Registry,
    reference: Reference,
    descriptor: Descriptor,
    open_at: Callable[[int], BlobReader],
    progress: Callable[[int], None],
    *,
    mount_from: str | None = None,
) -> bool:
    """Make sure that the repository has the blob, as a push does; False where it had it already."""
    if registry.blob_exists(reference, descriptor.digest):
        progress(descriptor.size)
        return False
    registry.upload_blob(reference, descriptor, open_at, progress, mount_from=mount_from)
    return True
