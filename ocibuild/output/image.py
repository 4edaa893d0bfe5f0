"""From layers to an image: its config and manifest, as documents in the store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.oci import Digest, Manifest, mediatypes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ocibuild.oci import Descriptor, ImageConfig
    from ocibuild.store import Blobs, Layer


def assemble(config: ImageConfig, inherited: int, layers: Sequence[Layer], created: Sequence[str]) -> ImageConfig:
    """Return the config of an image of these layers, oldest first.

    ``config`` has the history of its base, ``inherited`` entries of it, followed by one without a time for each new
    instruction, unless the build was given one, and for each layer of the base that has none; ``created`` has the time
    of each new layer. An instruction that made no layer gets the time of the new layer before it, or of the first. So
    an image that is built again from the cache is the same to the byte.
    """
    times = iter(created)
    history = list(config.history[:inherited])
    latest = config.created or next((entry.created for entry in reversed(history) if entry.created), None)
    latest = created[0] if created else latest
    for entry in config.history[inherited:]:
        latest = latest if entry.empty_layer else next(times, latest)
        history.append(replace(entry, created=entry.created or latest))
    diff_ids = tuple(layer.diff_id for layer in layers)
    return replace(config, diff_ids=diff_ids, history=tuple(history), created=config.created or latest)


def write_image(
    blobs: Blobs,
    config: ImageConfig,
    layers: Sequence[Descriptor],
    annotations: Mapping[str, str],
    *,
    is_oci: bool = True,
) -> Descriptor:
    """Put the config and the manifest of an image into the store, and return the manifest's descriptor.

    Media types are OCI's, or else docker's. What is in the store already was validated when it came; the rest is
    validated now.
    """
    of_config = mediatypes.OCI_CONFIG if is_oci else mediatypes.DOCKER_CONFIG
    described = _put(blobs, of_config, lambda validated: config.to_bytes(validated=validated))
    layer_type = mediatypes.layer_type if is_oci else mediatypes.docker_layer_type
    manifest = Manifest(
        media_type=mediatypes.OCI_MANIFEST if is_oci else mediatypes.DOCKER_MANIFEST,
        config=described,
        layers=tuple(
            replace(layer, media_type=layer_type(mediatypes.compression_of(layer.media_type))) for layer in layers
        ),
        annotations=dict(annotations),
    )
    put = _put(blobs, manifest.media_type, lambda validated: manifest.to_bytes(validated=validated))
    return replace(put, platform=config.platform)


def _put(blobs: Blobs, media_type: str, serialise: Callable[[bool], bytes]) -> Descriptor:
    data = serialise(False)
    if not blobs.has(Digest.of(data)):
        serialise(True)
    return blobs.put(data, media_type)
