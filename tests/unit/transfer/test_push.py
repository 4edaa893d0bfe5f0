from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import InvalidDocument, NotInStore, RegistryError
from ocibuild.oci import Descriptor, Index, Manifest, Reference, mediatypes, parse_manifest
from ocibuild.registry import Credentials, Registry, RegistryConfig
from ocibuild.transfer import push
from tests.unit.registry.conftest import QUICK
from tests.unit.registry.images import AMD64, nothing, put_image, put_index
from tests.unit.registry.scripts import refuse

if TYPE_CHECKING:
    from demo.registry import Service
    from ocibuild.store import Store


@pytest.fixture
def reference(service: Service) -> Reference:
    return Reference.parse(f"{service.address}/team/app:1")


def puts(service: Service, part: str) -> list[str]:
    return [one.path.rpartition("/")[2] for one in service.requests("PUT", part)]


def test_blobs_go_before_manifests_and_tags_last(
    registry: Registry, store: Store, reference: Reference, service: Service
) -> None:
    index = put_index(store, ["linux/amd64", "linux/arm64"])
    push(registry, store, index, [reference, reference.with_tag("2")], progress=nothing)
    kinds = ["manifest" if "/manifests/" in one.path else "blob" for one in service.requests("PUT")]
    assert kinds == ["blob"] * 4 + ["manifest"] * 4
    *children, first, second = puts(service, "/manifests/")
    assert all(child.startswith("sha256:") for child in children)
    assert [first, second] == ["1", "2"]


def test_several_tags_send_each_blob_once(
    registry: Registry, store: Store, reference: Reference, service: Service
) -> None:
    image = put_image(store)
    push(registry, store, image, [reference, reference.with_tag("2"), reference.with_tag("3")], progress=nothing)
    assert len(service.requests("POST")) == 3, "two layers and a config"
    assert len(service.requests("HEAD")) == 3
    assert puts(service, "/manifests/") == ["1", "2", "3"]


def test_what_is_there_is_not_sent_again(
    registry: Registry, store: Store, reference: Reference, service: Service
) -> None:
    push(registry, store, put_image(store, [b"one", b"two"]), [reference], progress=nothing)
    service.seen.clear()
    push(registry, store, put_image(store, [b"one", b"three"]), [reference], progress=nothing)
    assert len(service.requests("POST")) == 2, "one layer and the config"


def test_two_repositories_get_it_both(registry: Registry, store: Store, reference: Reference, service: Service) -> None:
    other = Reference.parse(f"{service.address}/other:1")
    push(registry, store, put_image(store, [b"one"]), [reference, other], progress=nothing)
    assert len(service.requests("POST", "/v2/other/")) == 2
    assert len(service.requests("POST", "/v2/team/app/")) == 2


def test_without_a_tag_it_is_pushed_by_digest(registry: Registry, store: Store, service: Service) -> None:
    image = put_image(store)
    push(registry, store, image, [Reference(service.address, "app", digest=image.digest)], progress=nothing)
    assert puts(service, "/manifests/") == [image.digest]


def test_progress_tells_of_every_blob(registry: Registry, store: Store, reference: Reference) -> None:
    image = put_image(store, [b"one", b"three"])
    done: dict[str, int] = {}
    push(registry, store, image, [reference], progress=lambda blob, sent: done.update({blob.digest: sent}))
    manifest = parse_manifest(store.blobs.read(image.digest))
    assert isinstance(manifest, Manifest)
    assert done == {blob.digest: blob.size for blob in (*manifest.layers, manifest.config)}


def test_a_foreign_layer_is_not_pushed(
    registry: Registry, store: Store, reference: Reference, service: Service
) -> None:
    image = put_image(store, [b"one"])
    manifest = parse_manifest(store.blobs.read(image.digest))
    assert isinstance(manifest, Manifest)
    layer = manifest.layers[0]
    foreign = Descriptor(
        mediatypes.OCI_NONDISTRIBUTABLE_LAYER_GZIP, layer.digest, layer.size, urls=("https://a.example/layer",)
    )
    changed = Manifest(mediatypes.OCI_MANIFEST, manifest.config, (foreign,))
    descriptor = store.blobs.put(changed.to_bytes(), mediatypes.OCI_MANIFEST)
    push(registry, store, descriptor, [reference], progress=nothing)
    assert len(service.requests("POST")) == 1, "the config alone"


def test_an_image_that_is_not_whole_in_the_store_sends_no_manifest(
    registry: Registry, store: Store, reference: Reference, service: Service
) -> None:
    index = put_index(store, ["linux/amd64", "linux/arm64"])
    document = parse_manifest(store.blobs.read(index.digest))
    assert isinstance(document, Index)
    import os

    os.unlink(store.blobs.path(document.manifests[1].digest))
    with pytest.raises(NotInStore):
        push(registry, store, index, [reference], progress=nothing)
    assert service.seen == []


def test_a_blob_that_fails_keeps_the_tag_away(
    registry: Registry, store: Store, reference: Reference, service: Service
) -> None:
    service.intercept = lambda handler: handler.command == "POST" and refuse(handler, 400, "NAME_INVALID", "no")
    with pytest.raises(RegistryError, match="no"):
        push(registry, store, put_image(store), [reference], progress=nothing)
    assert puts(service, "/manifests/") == []


def test_chunks_are_used_where_they_are_asked_for(store: Store, reference: Reference, service: Service) -> None:
    with Registry(RegistryConfig(), Credentials(), policy=QUICK, chunk_size=1000) as registry:
        push(registry, store, put_image(store, [b"x" * 2500]), [reference], progress=nothing)
    assert len(service.requests("PATCH")) >= 4


def test_indexes_too_deep_are_refused_before_anything_is_sent(
    registry: Registry, store: Store, reference: Reference, service: Service
) -> None:
    below = put_image(store)
    for _ in range(5):
        entry = Descriptor(below.media_type, below.digest, below.size, platform=AMD64)
        below = store.blobs.put(Index(mediatypes.OCI_INDEX, (entry,)).to_bytes(), mediatypes.OCI_INDEX)
    with pytest.raises(InvalidDocument, match="more than 3 indexes"):
        push(registry, store, below, [reference], progress=nothing)
    assert service.seen == []
