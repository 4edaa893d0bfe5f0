from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from demo.registry import Service, serve
from ocibuild.errors import DigestMismatch, NotFound, RegistryError, UnsupportedMediaType
from ocibuild.oci import Descriptor, Digest, Reference, mediatypes
from ocibuild.oci.limits import MANIFEST_LIMIT
from ocibuild.registry import Credentials, Registry, RegistryConfig
from ocibuild.registry.configuration.config import HostConfig
from tests.support.peers import free_port
from tests.unit.registry.conftest import QUICK
from tests.unit.registry.images import bytes_at, fetch_blob, nothing, push_blob, put_image
from tests.unit.registry.scripts import refuse, reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demo.registry import Handler
    from ocibuild.store import Store

BLOB = Descriptor(mediatypes.OCI_LAYER, Digest.of(b"hello"), 5)


@pytest.fixture
def reference(service: Service) -> Reference:
    return Reference.parse(f"{service.address}/team/app:1")


def give(registry: Registry, reference: Reference, data: bytes) -> Descriptor:
    blob = Descriptor(mediatypes.OCI_LAYER, Digest.of(data), len(data))
    push_blob(registry, reference, blob, bytes_at(data), nothing)
    return blob


def fetch(registry: Registry, reference: Reference, blob: Descriptor) -> bytes:
    received = bytearray()
    fetch_blob(registry, reference, blob, received.extend)
    return bytes(received)


def give_manifest(store: Store, registry: Registry, reference: Reference) -> bytes:
    descriptor = put_image(store, [])
    manifest = store.blobs.read(descriptor.digest)
    config = json.loads(manifest)["config"]["digest"]
    give(registry, reference, store.blobs.read(Digest.parse(config)))
    registry.push_manifest(reference, manifest, mediatypes.OCI_MANIFEST)
    return manifest


def answer_manifest(data: bytes, **headers: str) -> Service:
    def intercept(handler: Handler) -> bool:
        if "/manifests/" in handler.path:
            reply(handler, 200, data, **headers)
        return "/manifests/" in handler.path

    return Service(intercept=intercept)


def test_a_blob_comes_back_as_it_went(registry: Registry, reference: Reference, noise: bytes) -> None:
    assert fetch(registry, reference, give(registry, reference, noise)) == noise


def test_an_empty_blob_comes_back(registry: Registry, reference: Reference) -> None:
    assert fetch(registry, reference, give(registry, reference, b"")) == b""


def test_a_missing_blob_is_not_found(registry: Registry, reference: Reference) -> None:
    with pytest.raises(NotFound, match=str(BLOB.digest)):
        fetch(registry, reference, BLOB)
    assert not registry.blob_exists(reference, BLOB.digest)


def test_one_connection_serves_many_requests(registry: Registry, reference: Reference, service: Service) -> None:
    ports: set[int] = set()

    def intercept(handler: Handler) -> bool:
        ports.add(handler.client_address[1])
        return False

    service.intercept = intercept
    for number in range(5):
        fetch(registry, reference, give(registry, reference, bytes([number])))
    assert len(ports) == 1


def test_a_manifest_comes_back_with_its_descriptor(store: Store, registry: Registry, reference: Reference) -> None:
    data = give_manifest(store, registry, reference)
    expected = Descriptor(mediatypes.OCI_MANIFEST, Digest.of(data), len(data))
    assert registry.manifest(reference) == (data, expected)
    assert registry.manifest(reference.with_digest(expected.digest)) == (data, expected)
    assert registry.head(reference) == expected


def test_head_of_what_is_not_there_is_none(registry: Registry, reference: Reference) -> None:
    assert registry.head(reference) is None


def test_a_manifest_with_another_digest_is_refused(store: Store, registry: Registry, reference: Reference) -> None:
    data = give_manifest(store, registry, reference)
    with serve(answer_manifest(data + b" ", Content_Type=mediatypes.OCI_MANIFEST)) as liar:
        wanted = Reference(liar.address, "team/app", digest=Digest.of(data))
        with pytest.raises(DigestMismatch, match="team/app@sha256"):
            registry.manifest(wanted)


def test_a_manifest_that_the_registry_calls_otherwise_is_refused(registry: Registry) -> None:
    wrong = {"Content_Type": mediatypes.OCI_MANIFEST, "Docker_Content_Digest": str(Digest.of(b"other"))}
    with serve(answer_manifest(b"{}", **wrong)) as liar, pytest.raises(DigestMismatch, match="team/app:1"):
        registry.manifest(Reference.parse(f"{liar.address}/team/app:1"))


def test_a_digest_that_is_none_is_refused(registry: Registry) -> None:
    wrong = {"Content_Type": mediatypes.OCI_MANIFEST, "Docker_Content_Digest": "md5:1"}
    with serve(answer_manifest(b"{}", **wrong)) as liar:
        reference = Reference.parse(f"{liar.address}/team/app:1")
        with pytest.raises(RegistryError, match="wrong digest"):
            registry.manifest(reference)
        with pytest.raises(RegistryError, match="wrong digest"):
            registry.head(reference)


def test_a_manifest_without_a_telling_content_type_is_known_by_its_shape(
    store: Store, registry: Registry, reference: Reference
) -> None:
    data = give_manifest(store, registry, reference)
    with serve(answer_manifest(data, Content_Type="text/plain; charset=utf-8")) as server:
        _, descriptor = registry.manifest(Reference.parse(f"{server.address}/team/app:1"))
    assert descriptor.media_type == mediatypes.OCI_MANIFEST


def test_an_endless_manifest_ends(registry: Registry) -> None:
    with (
        serve(answer_manifest(b" " * (MANIFEST_LIMIT + 1), Content_Type=mediatypes.OCI_MANIFEST)) as server,
        pytest.raises(RegistryError, match=f"more than the {MANIFEST_LIMIT} bytes"),
    ):
        registry.manifest(Reference.parse(f"{server.address}/team/app:1"))


def test_schema_1_is_refused_by_name(registry: Registry) -> None:
    with (
        serve(answer_manifest(b"{}", Content_Type=mediatypes.DOCKER_SCHEMA1_SIGNED)) as server,
        pytest.raises(UnsupportedMediaType, match="schema 1"),
    ):
        registry.manifest(Reference.parse(f"{server.address}/team/app:1"))


def test_a_pushed_manifest_that_the_registry_reads_otherwise_is_an_error(
    registry: Registry, reference: Reference, service: Service
) -> None:
    def intercept(handler: Handler) -> bool:
        if handler.command == "PUT":
            reply(handler, 201, Docker_Content_Digest=str(Digest.of(b"other")))
        return handler.command == "PUT"

    service.intercept = intercept
    with pytest.raises(DigestMismatch):
        registry.push_manifest(reference, b"{}", mediatypes.OCI_MANIFEST)


@pytest.fixture
def mirror() -> Iterator[Service]:
    with serve() as running:
        yield running


@pytest.fixture
def mirrored(service: Service, mirror: Service) -> Iterator[Registry]:
    nowhere = f"127.0.0.1:{free_port()}"
    hosts = {service.address: HostConfig(mirrors=(nowhere, f"{mirror.address}/copies"))}
    with Registry(RegistryConfig(hosts), Credentials(), policy=QUICK) as client:
        yield client


def test_a_mirror_is_asked_before_the_origin(
    mirrored: Registry, registry: Registry, reference: Reference, service: Service, mirror: Service
) -> None:
    blob = give(registry, Reference.parse(f"{mirror.address}/copies/team/app:1"), b"hello")
    assert fetch(mirrored, reference, blob) == b"hello"
    assert service.seen == []


def test_what_a_mirror_does_not_have_comes_from_the_origin(
    mirrored: Registry, reference: Reference, service: Service, mirror: Service
) -> None:
    blob = give(mirrored, reference, b"hello")
    assert fetch(mirrored, reference, blob) == b"hello"
    assert [one.status for one in mirror.requests("GET")] == [404]
    assert [one.status for one in service.requests("GET")] == [200]


def test_pushes_go_to_the_origin(mirrored: Registry, reference: Reference, mirror: Service) -> None:
    give(mirrored, reference, b"hello")
    assert mirror.seen == []


def test_the_origins_error_is_the_one_that_counts(mirrored: Registry, reference: Reference, mirror: Service) -> None:
    mirror.intercept = lambda handler: refuse(handler, 403, "DENIED", "no")
    with pytest.raises(NotFound):
        mirrored.manifest(reference)


def test_a_mirror_that_speaks_of_something_else_is_passed_over(
    mirrored: Registry, store: Store, reference: Reference, mirror: Service
) -> None:
    data = give_manifest(store, mirrored, reference)
    mirror.intercept = lambda handler: reply(handler, 200, b"<html>", Content_Type="text/html")
    assert mirrored.manifest(reference)[0] == data


@pytest.mark.parametrize("port", ["closed", "https"])
def test_a_registry_that_cannot_be_reached_is_named(registry: Registry, service: Service, port: str) -> None:
    if port == "closed":
        reference = Reference.parse(f"127.0.0.1:{free_port()}/team/app:1")
        with pytest.raises(RegistryError, match=r"cannot reach 127\.0\.0\.1:\d+: Connection refused"):
            registry.manifest(reference)
        return
    config = RegistryConfig({service.address: HostConfig(http=False)})
    with (
        Registry(config, Credentials(), policy=QUICK) as client,
        pytest.raises(RegistryError, match="does not speak TLS"),
    ):
        client.manifest(Reference.parse(f"{service.address}/team/app:1"))


def test_the_client_is_imported_without_its_slow_parts() -> None:
    program = (
        "import sys, ocibuild.registry; slow = {'requests', 'urllib3', 'ssl', 'concurrent.futures', 'tomllib',"
        " 'jsonschema', 'subprocess'}; sys.exit(' '.join(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
