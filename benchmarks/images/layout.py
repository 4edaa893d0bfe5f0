"""Images written as one OCI layout in a tar."""

from __future__ import annotations

import json
import tarfile
from io import BytesIO
from typing import TYPE_CHECKING

from benchmarks.images.image import MANIFEST, digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.images.image import Variant


def write_layout(path: str, images: Sequence[Variant]) -> None:
    """Write the images, each under its name and tag; layers should be small, for each is held in memory."""
    with tarfile.open(path, "w") as tar:
        entries = []
        _add(tar, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        for image in images:
            manifest = image.manifest()
            for blob in image.layers:
                _add(tar, f"blobs/sha256/{blob.digest[7:]}", b"".join(blob.pieces()))
            for document in (image.config, manifest):
                _add(tar, f"blobs/sha256/{digest_of(document)[7:]}", document)
            named = {"io.containerd.image.name": f"docker.io/bench/{image.name}:{image.tag}"}
            entries.append(
                {"mediaType": MANIFEST, "digest": digest_of(manifest), "size": len(manifest), "annotations": named}
            )
        _add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": entries}).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, BytesIO(content))
