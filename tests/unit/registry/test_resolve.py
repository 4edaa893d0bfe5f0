from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import DigestMismatch, InvalidDocument, NoMatchingPlatform, NotFound, UnsupportedMediaType
from ocibuild.oci import Descriptor, Index, Manifest, Platform, Reference, mediatypes
from ocibuild.registry import resolve
from ocibuild.transfer import push
from tests.unit.registry.images import AMD64, nothing, put_image, put_index
from tests.unit.registry.scripts import reply

if TYPE_CHECKING:
    from demo.registry import Service
    from ocibuild.registry import Registry
    from ocibuild.store import Store


@pytest.fixture
def reference(service: Service) -> Reference:
    return Reference.parse(f"{service.address}/team/app:1")


def test_an_image_is_found_and_kept(registry: Registry, store: Store, other_store: Store, reference: Reference) -> None:
    image = put_image(store)
    push(registry, store, image, [reference], progress=nothing)
    found = resolve(registry, other_store, reference, AMD64)
    assert found.reference == reference
    assert found.descriptor == image
    assert found.manifest_bytes == store.blobs.read(image.digest)
    assert found.config.platform == AMD64
    assert other_store.blobs.read(image.digest) == found.manifest_bytes
    assert other_store.blobs.read(found.manifest.config.digest) == found.config_bytes


def test_what_the_store_has_is_not_fetched_again(
    registry: Registry, store: Store, other_store: Store, reference: Reference, service: Service
) -> None:
    push(registry, store, put_index(store, ["linux/amd64", "linux/arm64"]), [reference], progress=nothing)
    first = resolve(registry, other_store, reference, AMD64)
    service.seen.clear()
    assert resolve(registry, other_store, reference, AMD64) == first
    assert [(one.method, one.status) for one in service.seen] == [("HEAD", 200)]


def test_a_digest_in_the_store_needs_no_registry(registry: Registry, store: Store) -> None:
    image = put_image(store)
    reference = Reference("nowhere.example", "team/app", digest=image.digest)
    assert resolve(registry, store, reference, AMD64).descriptor == image


def test_an_index_gives_the_manifest_of_the_platform(
    registry: Registry, store: Store, other_store: Store, reference: Reference
) -> None:
    index = put_index(store, ["linux/amd64", "linux/arm/v6", "linux/arm64"])
    push(registry, store, index, [reference], progress=nothing)
    found = resolve(registry, other_store, reference, Platform.parse("linux/arm/v7"))
    assert found.config.platform == Platform.parse("linux/arm/v6")
    assert found.descriptor.digest != index.digest
    assert other_store.blobs.has(index.digest)


@pytest.mark.parametrize("platforms", [["linux/amd64", "linux/arm64"], ["linux/amd64"]], ids=["several", "one"])
def test_a_platform_that_is_missing_names_those_that_exist(
    registry: Registry, store: Store, other_store: Store, reference: Reference, platforms: list[str]
) -> None:
    push(registry, store, put_index(store, platforms), [reference], progress=nothing)
    with pytest.raises(NoMatchingPlatform) as caught:
        resolve(registry, other_store, reference, Platform.parse("linux/s390x"))
    assert str(caught.value).startswith(f"{reference}: no image for linux/s390x; it has {', '.join(platforms)}")


def test_an_image_without_index_for_another_platform_is_refused(
    registry: Registry, store: Store, other_store: Store, reference: Reference
) -> None:
    push(registry, store, put_image(store), [reference], progress=nothing)
    with pytest.raises(NoMatchingPlatform, match="it has linux/amd64"):
        resolve(registry, other_store, reference, Platform.parse("linux/arm64"))


def test_a_missing_image_is_named_in_one_line(registry: Registry, store: Store, reference: Reference) -> None:
    with pytest.raises(NotFound) as caught:
        resolve(registry, store, reference, AMD64)
    assert caught.value.message == f"{reference}: not found in the registry"


def test_indexes_too_deep_are_refused(registry: Registry, store: Store, reference: Reference) -> None:
    below = put_image(store)
    for _ in range(4):
        entry = Descriptor(below.media_type, below.digest, below.size, platform=AMD64)
        below = store.blobs.put(Index(mediatypes.OCI_INDEX, (entry,)).to_bytes(), mediatypes.OCI_INDEX)
    with pytest.raises(InvalidDocument, match="more than 3 indexes"):
        resolve(registry, store, reference.with_digest(below.digest), AMD64)


def test_a_wrong_number_of_diff_ids_is_refused(registry: Registry, store: Store, reference: Reference) -> None:
    image = put_image(store, diff_ids=1)
    with pytest.raises(InvalidDocument, match="has 1 diff IDs, its manifest 2 layers"):
        resolve(registry, store, reference.with_digest(image.digest), AMD64)


def serve_manifest(service: Service, data: bytes, media_type: str) -> None:
    service.intercept = lambda handler: (
        "/manifests/" in handler.path and reply(handler, 200, data, Content_Type=media_type)
    )


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"<html>", InvalidDocument),
        (b'{"schemaVersion": 2, "config": {}, "layers": null}', InvalidDocument),
        (b'{"schemaVersion": 1, "fsLayers": []}', UnsupportedMediaType),
    ],
    ids=["html", "null layers", "schema 1"],
)
def test_a_manifest_that_is_none_is_refused_and_not_kept(
    registry: Registry, store: Store, reference: Reference, service: Service, data: bytes, kind: type[Exception]
) -> None:
    serve_manifest(service, data, mediatypes.OCI_MANIFEST)
    with pytest.raises(kind, match=str(reference)):
        resolve(registry, store, reference, AMD64)
    assert list(store.blobs) == []


def test_a_config_that_is_damaged_is_refused_and_not_kept(
    registry: Registry, store: Store, other_store: Store, reference: Reference, service: Service
) -> None:
    image = put_image(store)
    push(registry, store, image, [reference], progress=nothing)
    config = resolve(registry, store, reference, AMD64).manifest.config
    service.intercept = lambda handler: "/blobs/" in handler.path and reply(handler, 200, b"x" * config.size)
    with pytest.raises(DigestMismatch, match=f"{reference}: {config.digest}"):
        resolve(registry, other_store, reference, AMD64)
    assert [other_store.blobs.read(digest) for digest in other_store.blobs] == []


def test_a_config_too_large_is_refused_before_it_is_fetched(
    registry: Registry, store: Store, reference: Reference, service: Service
) -> None:
    image = put_image(store)
    config = Descriptor(mediatypes.OCI_CONFIG, image.digest, 17 << 20)
    serve_manifest(service, Manifest(mediatypes.OCI_MANIFEST, config, ()).to_bytes(), mediatypes.OCI_MANIFEST)
    with pytest.raises(InvalidDocument, match=f"its config {image.digest} has"):
        resolve(registry, store, reference, AMD64)
    assert service.requests("GET", "/blobs/") == []
