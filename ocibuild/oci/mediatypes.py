"""Media types of image-spec v1.1 (media-types.md) and of Docker's image manifest version 2, schema 2."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from ocibuild.errors import UnsupportedMediaType

OCI_DESCRIPTOR: Final = "application/vnd.oci.descriptor.v1+json"
OCI_LAYOUT_HEADER: Final = "application/vnd.oci.layout.header.v1+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY: Final = "application/vnd.oci.empty.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD: Final = "application/vnd.oci.image.layer.v1.tar+zstd"
OCI_NONDISTRIBUTABLE_LAYER: Final = "application/vnd.oci.image.layer.nondistributable.v1.tar"
OCI_NONDISTRIBUTABLE_LAYER_GZIP: Final = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
OCI_NONDISTRIBUTABLE_LAYER_ZSTD: Final = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER_ZSTD: Final = "application/vnd.docker.image.rootfs.diff.tar.zstd"
DOCKER_FOREIGN_LAYER: Final = "application/vnd.docker.image.rootfs.foreign.diff.tar"
DOCKER_FOREIGN_LAYER_GZIP: Final = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
DOCKER_SCHEMA1: Final = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED: Final = "application/vnd.docker.distribution.manifest.v1+prettyjws"


class Compression(StrEnum):
    """How a layer's tar is compressed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


MANIFESTS: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES: Final = frozenset({OCI_INDEX, DOCKER_MANIFEST_LIST})
CONFIGS: Final = frozenset({OCI_CONFIG, DOCKER_CONFIG})
SCHEMA1: Final = frozenset({DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED})
NONDISTRIBUTABLE: Final = frozenset(
    {
        OCI_NONDISTRIBUTABLE_LAYER,
        OCI_NONDISTRIBUTABLE_LAYER_GZIP,
        OCI_NONDISTRIBUTABLE_LAYER_ZSTD,
        DOCKER_FOREIGN_LAYER,
        DOCKER_FOREIGN_LAYER_GZIP,
    }
)

_LAYERS: Final = {
    OCI_LAYER: Compression.NONE,
    OCI_LAYER_GZIP: Compression.GZIP,
    OCI_LAYER_ZSTD: Compression.ZSTD,
    OCI_NONDISTRIBUTABLE_LAYER: Compression.NONE,
    OCI_NONDISTRIBUTABLE_LAYER_GZIP: Compression.GZIP,
    OCI_NONDISTRIBUTABLE_LAYER_ZSTD: Compression.ZSTD,
    DOCKER_LAYER: Compression.NONE,
    DOCKER_LAYER_GZIP: Compression.GZIP,
    DOCKER_LAYER_ZSTD: Compression.ZSTD,
    DOCKER_FOREIGN_LAYER: Compression.NONE,
    DOCKER_FOREIGN_LAYER_GZIP: Compression.GZIP,
}
_OCI_LAYERS: Final = {
    Compression.NONE: OCI_LAYER,
    Compression.GZIP: OCI_LAYER_GZIP,
    Compression.ZSTD: OCI_LAYER_ZSTD,
}
_DOCKER_LAYERS: Final = {
    Compression.NONE: DOCKER_LAYER,
    Compression.GZIP: DOCKER_LAYER_GZIP,
    Compression.ZSTD: DOCKER_LAYER_ZSTD,
}


def is_manifest(media_type: str) -> bool:
    """Tell whether this is the manifest of one image."""
    return media_type in MANIFESTS


def is_index(media_type: str) -> bool:
    """Tell whether this is an image index (docker: a manifest list)."""
    return media_type in INDEXES


def is_layer(media_type: str) -> bool:
    """Tell whether this is a layer that we can read, foreign ones included."""
    return media_type in _LAYERS


def compression_of(layer_media_type: str) -> Compression:
    """Return how a layer of this media type is compressed; raises UnsupportedMediaType for any other media type."""
    compression = _LAYERS.get(layer_media_type)
    if compression is None:
        raise UnsupportedMediaType(f"{layer_media_type!r:.160} is not the media type of a layer that can be unpacked")
    return compression


def layer_type(compression: Compression) -> str:
    """Return the OCI media type of a layer compressed so."""
    return _OCI_LAYERS[compression]


def docker_layer_type(compression: Compression) -> str:
    """Return docker's media type of a layer compressed so."""
    return _DOCKER_LAYERS[compression]
