"""Images of layers that have variants."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.images.layer import Blob, Layer

_CREATED = "2024-01-01T00:00:00Z"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, slots=True)
class Image:
    """An image; ``fresh`` of its uppermost layers, None being all, differ from variant to variant.

    Who is to pull anew is given a new variant, for a store cannot be emptied without a trace: ext4 looks at every
    inode that was deleted in the last minutes before it gives a new one away, which costs the next to unpack seconds.
    """

    name: str
    layers: tuple[Layer, ...]
    fresh: int | None = None

    def variant(self, tag: str) -> Variant:
        """Return the variant of this name."""
        kept = 0 if self.fresh is None else len(self.layers) - self.fresh
        blobs = [layer.variant("common" if n < kept else tag) for n, layer in enumerate(self.layers)]
        return Variant(self.name, tag, tuple(blobs), _config(blobs))


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant of an image."""

    name: str
    tag: str
    layers: tuple[Blob, ...]
    config: bytes

    @property
    def sizes(self) -> dict[str, int]:
        """The digests of the layers and of the config, with their sizes."""
        return {**{blob.digest: blob.size for blob in self.layers}, digest_of(self.config): len(self.config)}

    def manifest(self) -> bytes:
        config = {"mediaType": _CONFIG, "digest": digest_of(self.config), "size": len(self.config)}
        layers = [{"mediaType": _LAYER, "digest": blob.digest, "size": blob.size} for blob in self.layers]
        return _json({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers})


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _config(blobs: Sequence[Blob]) -> bytes:
    return _json(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["bash"]},
            "rootfs": {"type": "layers", "diff_ids": [blob.diff_id for blob in blobs]},
            "created": _CREATED,
            # buildah caches nothing without it
            "history": [{"created": _CREATED, "created_by": "python -m benchmarks"} for _ in blobs],
        }
    )


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
