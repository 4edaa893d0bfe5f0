"""Archives as ``docker save``, podman and skopeo write them, and as nobody should."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def plain_layer(name: str, content: bytes = b"content") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def config_of(*layers: bytes) -> bytes:
    """Return the config of an image of these plain layers, in a form that we would not write."""
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    document = {
        "os": "linux",
        "x-unknown": 1,
        "architecture": "amd64",
        "rootfs": {"diff_ids": diff_ids, "type": "layers"},
    }
    return json.dumps(document, indent=3).encode()


@dataclass
class DockerTar:
    """A docker archive being made: members in the order they are added, ``images`` for its manifest.json."""

    members: list[tuple[str, bytes, bytes, str]] = field(default_factory=list)
    images: list[Any] = field(default_factory=list)

    def add(self, name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, to: str = "") -> str:
        self.members.append((name, content, kind, to))
        return name

    def image(self, config: str, layers: Sequence[str], *names: str) -> None:
        self.images.append({"Config": config, "RepoTags": list(names) or None, "Layers": list(layers)})

    def write(self, path: Path, *, manifest: bytes | None = None) -> str:
        listed = json.dumps(self.images).encode() if manifest is None else manifest
        with tarfile.open(path, "w") as tar:
            for name, content, kind, to in [*self.members, ("manifest.json", listed, tarfile.REGTYPE, "")]:
                member = tarfile.TarInfo(name)
                member.type, member.linkname, member.size = kind, to, len(content)
                tar.addfile(member, io.BytesIO(content))
        return str(path)


def simple(*, compressed: bool = False) -> tuple[DockerTar, bytes, list[bytes]]:
    """Return an archive of one image, its config and its layers as they lie there."""
    plain = [plain_layer("a", b"a" * 70_000), plain_layer("b")]
    layers = [gzip.compress(layer) for layer in plain] if compressed else plain
    tar, config = DockerTar(), config_of(*plain)
    names = [tar.add(f"{number}/layer.tar", layer) for number, layer in enumerate(layers)]
    tar.image(tar.add("config.json", config), names, "app:1")
    return tar, config, layers
