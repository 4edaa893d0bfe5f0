"""Images for the tests, made in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.oci import Descriptor, DiffID, Digest, ImageConfig, Index, Manifest, Platform, RunConfig, mediatypes

if TYPE_CHECKING:
    from collections.abc import Sequence

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
