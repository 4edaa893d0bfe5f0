"""Images as the store holds them: a manifest, its config, and its layers by diff ID."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import InvalidDocument, NotInStore
from ocibuild.graph import parse_time
from ocibuild.oci import Descriptor, ImageConfig, Index, Manifest, is_index, parse_manifest, select
from ocibuild.oci.limits import MANIFEST_LIMIT
from ocibuild.store.snapshots import Layer
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from ocibuild.oci import Digest, Platform
    from ocibuild.store.blobs import Blobs


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image in the store; its layers' blobs may still be missing."""

    descriptor: Descriptor
    manifest: Manifest
    config: ImageConfig

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, oldest first."""
        return pair_layers(self.manifest, self.config)

    @property
    def created_at(self) -> float:
        """When it was made, in seconds since 1970; 0 where it does not say so."""
        return parse_time(self.config.created) or 0.0

    @property
    def size(self) -> int:
        """The bytes of its blobs: its config and layers."""
        return self.manifest.config.size + sum(layer.size for layer in self.manifest.layers)


def pair_layers(manifest: Manifest, config: ImageConfig) -> tuple[Layer, ...]:
    """Return the layers of a manifest with their diff IDs; raise InvalidDocument where the numbers differ."""
    if len(manifest.layers) != len(config.diff_ids):
        raise InvalidDocument(
            f"{manifest.config.digest}: {len(config.diff_ids)} diff IDs for {len(manifest.layers)} layers"
        )
    return tuple(map(Layer, config.diff_ids, manifest.layers))


def load_image(blobs: Blobs, digest: Digest, platform: Platform) -> StoredImage:
    """Return the image whose manifest has this digest, or that of ``platform`` in an index.

    Raises NotInStore where a document is missing, or the index has nothing for the platform.
    """
    data = blobs.read(digest)
    document = parse_manifest(data, trusted=True)
    if isinstance(document, Index):
        return load_image(blobs, _selected(document, digest, platform), platform)
    config = ImageConfig.from_bytes(blobs.read(document.config.digest), trusted=True)
    return StoredImage(Descriptor(document.media_type, digest, len(data)), document, config)


def selected_manifest(blobs: Blobs, digest: Digest, platform: Platform) -> Digest:
    """Return the digest of the manifest that ``load_image`` loads; raise NotInStore where there is none."""
    document = parse_manifest(blobs.read(digest), trusted=True)
    return _selected(document, digest, platform) if isinstance(document, Index) else digest


def _selected(index: Index, digest: Digest, platform: Platform) -> Digest:
    chosen = select(index.manifests, platform)
    if chosen is None or is_index(chosen.media_type):
        raise NotInStore(f"{digest}: no image for {platform} in this index")
    return chosen.digest


def describe_manifest(blobs: Blobs, digest: Digest) -> Descriptor:
    """Return the descriptor of a manifest or index of the store; raise NotInStore, InvalidDocument."""
    data = blobs.read(digest, limit=MANIFEST_LIMIT)
    return Descriptor(parse_manifest(data, trusted=True).media_type, digest, len(data))
