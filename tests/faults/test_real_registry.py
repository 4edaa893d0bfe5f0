"""Debian's registry behind a line that breaks: what has arrived is not carried again, in either direction."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ocibuild.oci import Descriptor, Digest, Index, Manifest, Reference, mediatypes, parse_manifest
from ocibuild.registry import Credentials, Registry, RegistryConfig, RegistryDestination, RetryPolicy, resolve
from ocibuild.store import Store
from ocibuild.transfer import push
from tests.faults.world import AMD64
from tests.support.line import line_to
from tests.support.peers import docker_registry, require_peer
from tests.unit.registry.images import nothing, pull_layers, put_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.line import Line

POLICY = RetryPolicy(first=0.05, factor=1, longest=0.05, read_timeout=0.9, answer_timeout=20)
LARGE = 40 << 20
SLACK = 1 << 20  # bytes that the registry's side may have lost with the connection, and those of the requests


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("upstream")) as address:
        yield address


@pytest.fixture
def line(upstream: str) -> Iterator[Line]:
    with line_to(upstream) as running:
        yield running


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    with Store.open(str(folder / "store")) as opened:
        yield opened


@pytest.fixture(scope="module")
def large() -> bytes:
    """Forty megabytes, the same each time."""
    return hashlib.shake_128(b"large").digest(LARGE)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry(RegistryConfig(), Credentials(), policy=POLICY) as client:
        yield client


def skopeo(*words: str) -> bytes:
    return subprocess.run([require_peer("skopeo"), *words], check=True, capture_output=True).stdout


def check_right(upstream: str, name: str, folder: Path, layer: bytes) -> None:
    """Let skopeo copy what is there, and compare."""
    skopeo("copy", "--src-tls-verify=false", f"docker://{upstream}/{name}:1", f"dir:{folder / 'copied'}")
    assert (folder / "copied" / Digest.of(layer).encoded).read_bytes() == layer


@pytest.mark.parametrize("stalls", [False, True], ids=["cut", "stalled"])
def test_a_push_begins_anew_where_the_registry_gives_up_its_session(
    registry: Registry, store: Store, line: Line, upstream: str, folder: Path, large: bytes, *, stalls: bool
) -> None:
    """As docker-registry 2.8 does where a PATCH breaks: it answers 404 for the session from then on."""
    name = f"push/{stalls}".lower()
    image = put_image(store, [large, b"small"], layer_type=mediatypes.OCI_LAYER)
    line.up += [10 << 20, 12 << 20]
    line.stalls = stalls
    push(registry, store, image, [Reference.parse(f"{line.address}/{name}:1")], progress=nothing)
    assert line.up == []
    assert line.carried[0] < LARGE + (22 << 20) + SLACK, "what broke, and the whole once"
    check_right(upstream, name, folder, large)


@pytest.mark.parametrize("stalls", [False, True], ids=["cut", "stalled"])
def test_a_pull_is_taken_up_where_it_ended(
    registry: Registry, store: Store, line: Line, upstream: str, folder: Path, large: bytes, *, stalls: bool
) -> None:
    name = f"pull/{stalls}".lower()
    image = put_image(store, [large, b"small"], layer_type=mediatypes.OCI_LAYER)
    push(registry, store, image, [Reference.parse(f"{upstream}/{name}:1")], progress=nothing)
    line.down += [10 << 20, 15 << 20]
    line.stalls = stalls
    with Store.open(str(folder / "other")) as other:
        resolved = resolve(registry, other, Reference.parse(f"{line.address}/{name}:1"), AMD64)
        pull_layers(registry, other, resolved, progress=nothing)
        assert other.blobs.has(Digest.of(large))
    assert line.down == []
    assert line.carried[1] < LARGE + SLACK


def test_a_mount_carries_no_bytes(registry: Registry, store: Store, line: Line, large: bytes) -> None:
    image = put_image(store, [large, b"small"], layer_type=mediatypes.OCI_LAYER)
    push(registry, store, image, [Reference.parse(f"{line.address}/mount/one:1")], progress=nothing)
    before = line.carried[0]
    push(registry, store, image, [Reference.parse(f"{line.address}/mount/two:1")], progress=nothing)
    assert line.carried[0] - before < 10_000
    skopeo("inspect", "--tls-verify=false", f"docker://{line.address}/mount/two:1")


def test_referrers_stand_under_a_tag_where_there_is_no_api(registry: Registry, store: Store, upstream: str) -> None:
    reference = Reference.parse(f"{upstream}/about:1")
    image = put_image(store)
    push(registry, store, image, [reference], progress=nothing)
    manifest = parse_manifest(store.blobs.read(image.digest))
    assert isinstance(manifest, Manifest)
    about = [
        replace(manifest, subject=image, artifact_type=f"application/vnd.example.{kind}") for kind in ("sbom", "sign")
    ]
    destination = RegistryDestination(registry, [reference], store.origins)
    described = []
    for one in about:
        data = one.to_bytes()
        described.append(Descriptor(mediatypes.OCI_MANIFEST, Digest.of(data), len(data)))
        destination.put_manifest(described[-1], data)
        destination.put_manifest(described[-1], data)  # a second time changes nothing
    found = registry.referrers(reference.with_digest(image.digest))
    assert [one.digest for one in found] == [one.digest for one in described]
    (sbom,) = registry.referrers(reference.with_digest(image.digest), "application/vnd.example.sbom")
    assert sbom.digest == described[0].digest
    raw = skopeo(
        "inspect", "--raw", "--tls-verify=false", f"docker://{upstream}/about:{image.digest.replace(':', '-')}"
    )
    assert isinstance(parse_manifest(raw), Index)
    assert len(json.loads(raw)["manifests"]) == 2
