"""A store, a client and a hub with an image: what every case of the fault matrix begins with and ends with."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import NotInStore
from ocibuild.layer.owners import RealOwners, RecordedOwners
from ocibuild.oci import Digest, Limits, Platform, Reference, mediatypes
from ocibuild.registry import Credentials, Registry, RegistryBlobs, RegistryConfig, RetryPolicy, resolve
from ocibuild.rootfs.arrivals import bring_in
from ocibuild.store import find_image, load_image, pair_layers
from tests.support.hub import BASIC, PASSWORD, REFRESH, USER, serve_hub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.store import Store
    from tests.support.hub import Hub

AMD64 = Platform.parse("linux/amd64")
PATIENT = RetryPolicy(attempts=4, first=0.01, factor=1, longest=0.01, connect_timeout=20, read_timeout=20)
IMPATIENT = RetryPolicy(
    attempts=2, first=0.01, factor=1, longest=0.01, connect_timeout=5, read_timeout=0.4, answer_timeout=0.4,
    slow_window=0.4, least_speed=1000, patience=10,
)  # fmt: skip
NOISE = b"".join(hashlib.sha512(number.to_bytes(4)).digest() for number in range(20_000))
"""About 1.2 megabytes that do not compress."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image as a registry has it; ``files`` are what its layers hold."""

    layers: tuple[bytes, ...]
    config: bytes
    manifest: bytes
    index: bytes
    files: tuple[tuple[str, bytes], ...] = ()

    @property
    def digest(self) -> Digest:
        return Digest.of(self.manifest)

    @property
    def names(self) -> dict[str, str]:
        """What labels of requests call the parts."""
        parts = {f"layer {place}": layer for place, layer in enumerate(self.layers)}
        parts |= {"config": self.config, "manifest": self.manifest, "index": self.index}
        return {str(Digest.of(data)): name for name, data in parts.items()}

    def publish(self, hub: Hub, name: str = "library/app", tag: str = "1") -> Reference:
        """Put the image into a repository of ``hub``, and return its reference."""
        hub.names.update(self.names)
        for blob in (*self.layers, self.config):
            hub.files.put(f"{name}/_blobs/{Digest.of(blob)}", blob)
        for kind, document in ((mediatypes.OCI_MANIFEST, self.manifest), (mediatypes.OCI_INDEX, self.index)):
            hub.files.put(f"{name}/_manifests/{Digest.of(document)}", kind.encode() + b"\n" + document)
        hub.files.put(f"{name}/_tags/{tag}", str(Digest.of(self.index)).encode())
        return Reference.parse(f"{hub.address}/{name}:{tag}")


def describe(data: bytes, media_type: str, **members: object) -> dict[str, object]:
    """Return the JSON of a descriptor."""
    return {"mediaType": media_type, "digest": str(Digest.of(data)), "size": len(data), **members}


def dumps(document: object) -> bytes:
    return json.dumps(document).encode()


def tar_of(name: str, content: bytes) -> bytes:
    """Return a tar of one file."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return output.getvalue()


def make_image(
    *files: tuple[str, bytes],
    config: bytes | None = None,
    diff_ids: list[str] | None = None,
    layers: list[dict[str, object]] | object = None,
    compress: bool = True,
) -> Image:
    """Return an image with one layer a file; what is given is said of it in place of the truth."""
    tars = [tar_of(*file) for file in files]
    blobs = [gzip.compress(tar, 1, mtime=0) if compress else tar for tar in tars]
    kind = mediatypes.OCI_LAYER_GZIP if compress else mediatypes.OCI_LAYER
    rootfs = {"type": "layers", "diff_ids": [str(Digest.of(tar)) for tar in tars] if diff_ids is None else diff_ids}
    config = (
        config
        if config is not None
        else dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs})
    )
    described = [describe(blob, kind) for blob in blobs] if layers is None else layers
    document = {"config": describe(config, mediatypes.OCI_CONFIG), "layers": described}
    manifest = dumps({"schemaVersion": 2, "mediaType": mediatypes.OCI_MANIFEST, **document})
    return Image(tuple(blobs), config, manifest, make_index(manifest), files)


def make_index(manifest: bytes, kind: str = mediatypes.OCI_MANIFEST, **members: object) -> bytes:
    """Return an index of one manifest, with an attestation beside it as BuildKit makes them."""
    platform = {"os": "linux", "architecture": "amd64"}
    attestation = describe(b"{}", mediatypes.OCI_MANIFEST, platform={"os": "unknown", "architecture": "unknown"})
    entries = [attestation, describe(manifest, kind, platform=platform) | members]
    return dumps({"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": entries})


IMAGE = make_image(("noise", NOISE), ("small", b"small\n"))


@dataclass(slots=True)
class World:
    """A store, and how its owner reaches registries."""

    store: Store
    hub: Hub
    reference: Reference
    policy: RetryPolicy = PATIENT
    config: RegistryConfig = field(default_factory=RegistryConfig)
    logged_in: bool = True
    credentials: Credentials | None = None
    further_hosts: tuple[str, ...] = ()

    @contextmanager
    def client(self, *, chunk_size: int | None = None) -> Iterator[Registry]:
        entry = {"username": USER, "password": PASSWORD}
        hosts = (self.hub.address, *self.further_hosts) if self.logged_in else ()
        text = json.dumps({"auths": dict.fromkeys(hosts, entry)})
        known = self.credentials or Credentials.load({"DOCKER_AUTH_CONFIG": text})
        with Registry(self.config, known, policy=self.policy, chunk_size=chunk_size) as registry:
            yield registry

    def pull(self, reference: Reference | None = None, *, unpack: bool = True) -> None:
        """Pull as ``Session.pull`` does."""
        reference = reference or self.reference
        with self.client() as registry:
            resolved = resolve(registry, self.store, reference, AMD64)
            layers = pair_layers(resolved.manifest, resolved.config)
            bring_in(
                self.store,
                layers,
                RegistryBlobs(lambda: registry, self.store, reference.with_digest(resolved.descriptor.digest)),
                ownership=owners() if unpack else None,
                blobs=layers,
                verified=layers,
                limits=Limits(),
                report=lambda *_: None,
            )
        self.store.tags.set(reference, replace(resolved.descriptor, platform=resolved.config.platform))

    def check_has(self, image: Image, reference: Reference | None = None) -> None:
        """Check that the store has the image under its tag, whole and unpacked."""
        tagged = self.store.tags.get(reference or self.reference)
        assert tagged is not None
        assert (tagged.digest, tagged.size) == (image.digest, len(image.manifest))
        found = load_image(self.store.blobs, tagged.digest, AMD64)
        snapshots = self.store.snapshots.by_layers(found.layers)
        assert snapshots is not None
        for snapshot, (name, content) in zip(snapshots, image.files, strict=True):
            assert Path(snapshot.path, name).read_bytes() == content
        assert {*map(Digest.of, (image.config, *image.layers))} <= set(self.store.blobs)
        self.check_sound()

    def check_has_not(self, image: Image, reference: Reference | None = None) -> None:
        """Check that nothing is left that could be used as this image."""
        assert self.store.tags.entries() == ()
        with pytest.raises(NotInStore):
            find_image(self.store, str(reference or self.reference), AMD64)
        assert os.listdir(self.snapshots) == []
        self.check_sound()

    @property
    def snapshots(self) -> Path:
        return Path(self.store.blobs.path(Digest.of(b""))).parents[2] / "snapshots"

    def check_sound(self) -> None:
        """Check that every blob is what it is called, and that nothing lies about."""
        for digest in self.store.blobs:
            assert Digest.of(Path(self.store.blobs.path(digest)).read_bytes()) == digest
        assert os.listdir(self.snapshots.parent / "ingest") == []

    def check_secrets(self) -> None:
        """Check that passwords went to the token server alone, tokens to the registry alone, and nothing to the CDN."""
        check_secrets(self.hub)


def check_secrets(hub: Hub) -> None:
    """Check that each server was shown what is for it, in headers, paths and queries."""
    for asked in list(hub.asked):
        server = asked.label.partition(" ")[0]
        shown = f"{dict(asked.headers)} {asked.path} {dict(asked.query)}"
        if server != "auth":
            assert BASIC not in shown
            assert PASSWORD not in shown
            assert REFRESH not in shown
        if server != "registry":
            assert "a-secret-token" not in shown
        if server == "cdn":
            assert "Authorization" not in asked.headers
            assert "Cookie" not in asked.headers


def owners() -> RealOwners | RecordedOwners:
    return RealOwners.of_this_process() if os.geteuid() == 0 else RecordedOwners()


@contextmanager
def hub_with(image: Image = IMAGE) -> Iterator[tuple[Hub, Reference]]:
    with serve_hub() as hub:
        yield hub, image.publish(hub)
