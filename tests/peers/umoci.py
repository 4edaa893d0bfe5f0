"""Debian's umoci, which unpacks layers with Go's archive/tar into one directory."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from ocibuild.oci import Digest
from tests.support.peers import require_peer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.layers.row import Blob

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"


def write_layout(path: Path, layers: Sequence[Blob]) -> None:
    """Write an OCI layout with one image, ``latest``, of these layers."""
    (path / "blobs/sha256").mkdir(parents=True)

    def put(content: bytes, media_type: str) -> dict[str, object]:
        digest = Digest.of(content)
        (path / "blobs/sha256" / digest.removeprefix("sha256:")).write_bytes(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    diff_ids = [Digest.of(layer.plain) for layer in layers]
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": put(json.dumps(config).encode(), _CONFIG),
        "layers": [put(layer.blob, layer.media_type) for layer in layers],
    }
    top = put(json.dumps(manifest).encode(), _MANIFEST)
    top["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def umoci_unpack(folder: Path, layers: Sequence[Blob]) -> Path:
    """Return the directory that umoci unpacks the layers to; CalledProcessError where it refuses."""
    write_layout(folder / "layout", layers)
    bundle = folder / "bundle"
    command = [require_peer("umoci"), "unpack", "--image", f"{folder / 'layout'}:latest", str(bundle)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return bundle / "rootfs"
