"""A source and a destination in memory, and images to go through them."""

from __future__ import annotations

import io
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ocibuild.errors import NotFound
from ocibuild.oci import Descriptor, Digest, Platform, is_index, mediatypes
from ocibuild.oci.verified import verified

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ocibuild.oci.image_io import BlobReader

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
S390X = Platform("linux", "s390x")
IN_TOTO = "application/vnd.in-toto+json"


@dataclass
class MemorySource:
    """Blobs by digest; whoever opens one is written down in ``opened``."""

    blobs: dict[Digest, bytes] = field(default_factory=dict)
    named: Descriptor | None = None
    opened: list[Digest] = field(default_factory=list)
    subject: str = "memory:source"

    def root(self) -> Descriptor:
        assert self.named
        return self.named

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        return self.blobs[descriptor.digest]

    def open_blob(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        self.opened.append(descriptor.digest)
        if descriptor.digest not in self.blobs:
            raise NotFound(f"no blob {descriptor.digest}")
        return io.BytesIO(self.blobs[descriptor.digest][offset:])

    # -- making what it has

    def put(self, data: bytes, media_type: str, **more: Any) -> Descriptor:
        digest = Digest.of(data)
        self.blobs[digest] = data
        return Descriptor(media_type, digest, len(data), **more)

    def put_json(self, document: Mapping[str, Any], media_type: str, **more: Any) -> Descriptor:
        return self.put(
            json.dumps({"schemaVersion": 2, "mediaType": media_type, **document}).encode(), media_type, **more
        )

    def put_image(self, platform: Platform, *layers: bytes, further: Sequence[Descriptor] = ()) -> Descriptor:
        """Put an image; its layers need not be tars, as nothing is unpacked. Its descriptor says the platform."""
        below = [*(self.put(layer, mediatypes.OCI_LAYER_GZIP) for layer in layers), *further]
        config = {**platform.to_json(), "rootfs": {"type": "layers", "diff_ids": [str(one.digest) for one in below]}}
        return self.put_json(
            {
                "config": self.put(json.dumps(config).encode(), mediatypes.OCI_CONFIG).to_json(),
                "layers": [layer.to_json() for layer in below],
            },
            mediatypes.OCI_MANIFEST,
            platform=platform,
        )

    def put_attestation(self, of: Descriptor) -> Descriptor:
        manifest = {
            "config": self.put(b"{}", mediatypes.OCI_CONFIG).to_json(),
            "layers": [self.put(b'{"about": "%s"}' % of.digest.encode(), IN_TOTO).to_json()],
        }
        about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": str(of.digest)}
        unknown = Platform("unknown", "unknown")
        return self.put_json(manifest, mediatypes.OCI_MANIFEST, platform=unknown, annotations=about)

    def put_index(self, *entries: Descriptor, media_type: str = mediatypes.OCI_INDEX, **more: Any) -> Descriptor:
        return self.put_json({"manifests": [entry.to_json() for entry in entries], **more}, media_type)


@dataclass
class MemoryDestination:
    """What was written, in ``order``; ``greatest`` is how many blobs were written at the same time."""

    parallel: int = 3
    there: dict[Digest, bytes] = field(default_factory=dict)
    order: list[tuple[str, Digest]] = field(default_factory=list)
    finished: Descriptor | None = None
    greatest: int = 0
    subject: str = "memory:destination"
    pause: Callable[[], None] = lambda: None
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def has_blob(self, descriptor: Descriptor) -> bool:
        return descriptor.digest in self.there

    def put_blob(
        self, descriptor: Descriptor, open_at: Callable[[int], BlobReader], progress: Callable[[int], None]
    ) -> None:
        with self._lock:
            self._now += 1
            self.greatest = max(self.greatest, self._now)
        try:
            self.pause()
            data = b"".join(verified(open_at(0), descriptor))
            progress(len(data))
            self._put("blob", descriptor, data)
        finally:
            with self._lock:
                self._now -= 1

    def put_manifest(self, descriptor: Descriptor, data: bytes) -> None:
        self._put("manifest", descriptor, data)

    def finish(self, descriptor: Descriptor, data: bytes) -> None:
        self._put("index" if is_index(descriptor.media_type) else "image", descriptor, data)
        self.finished = descriptor

    def _put(self, kind: str, descriptor: Descriptor, data: bytes) -> None:
        with self._lock:
            self.there[descriptor.digest] = data
            self.order.append((kind, descriptor.digest))
