from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ocibuild.oci import Descriptor, Digest, Index, Manifest, Reference, mediatypes
from ocibuild.registry import Credentials, Registry, RegistryConfig
from ocibuild.registry.referrers import referrers_tag
from ocibuild.transfer import push
from tests.unit.registry.conftest import QUICK
from tests.unit.registry.images import nothing, put_image
from tests.unit.registry.scripts import reply

if TYPE_CHECKING:
    from demo.registry import Handler, Service
    from ocibuild.store import Store

SIGNATURE = "application/vnd.example.signature.v1"
SBOM = "application/vnd.example.sbom.v1"


@pytest.fixture
def reference(service: Service) -> Reference:
    return Reference.parse(f"{service.address}/team/app:1")


def put_referrer(store: Store, subject: Descriptor, artifact_type: str, text: bytes = b"{}") -> Descriptor:
    """Put a manifest about ``subject`` into the store."""
    config = store.blobs.put(text, mediatypes.OCI_EMPTY)
    about = Descriptor(subject.media_type, subject.digest, subject.size)
    manifest = Manifest(
        mediatypes.OCI_MANIFEST,
        config,
        (),
        annotations={"made": "here"},
        subject=about,
        artifact_type=artifact_type,
    )
    return store.blobs.put(manifest.to_bytes(), mediatypes.OCI_MANIFEST)


def send(registry: Registry, store: Store, reference: Reference, *manifests: Descriptor) -> None:
    for manifest in manifests:
        pinned = Reference(reference.domain, reference.path, digest=manifest.digest)
        push(registry, store, manifest, [pinned], progress=nothing)


def test_a_registry_without_the_api_gets_an_index_under_the_tag_of_the_subject(
    registry: Registry, store: Store, reference: Reference, service: Service
) -> None:
    image = put_image(store)
    push(registry, store, image, [reference], progress=nothing)
    assert registry.referrers(reference.with_digest(image.digest)) == ()
    signature, sbom = put_referrer(store, image, SIGNATURE), put_referrer(store, image, SBOM, b"[]")
    send(registry, store, reference, signature, sbom)
    found = registry.referrers(reference.with_digest(image.digest))
    assert [(one.digest, one.artifact_type, one.annotations["made"]) for one in found] == [
        (signature.digest, SIGNATURE, "here"),
        (sbom.digest, SBOM, "here"),
    ]
    assert [one.digest for one in registry.referrers(reference.with_digest(image.digest), SBOM)] == [sbom.digest]
    assert len(service.requests("PUT", f"/manifests/{referrers_tag(image.digest)}")) == 2


def test_a_referrer_that_is_pushed_again_is_listed_once(
    registry: Registry, store: Store, reference: Reference, service: Service
) -> None:
    image = put_image(store)
    push(registry, store, image, [reference], progress=nothing)
    signature = put_referrer(store, image, SIGNATURE)
    send(registry, store, reference, signature, signature)
    assert len(registry.referrers(reference.with_digest(image.digest))) == 1
    assert len(service.requests("PUT", f"/manifests/{referrers_tag(image.digest)}")) == 1


def test_a_registry_with_the_api_is_left_to_it(
    registry: Registry, store: Store, reference: Reference, service: Service
) -> None:
    image = put_image(store)
    push(registry, store, image, [reference], progress=nothing)
    signature = put_referrer(store, image, SIGNATURE)

    def intercept(handler: Handler) -> bool:
        if handler.command == "PUT" and "/manifests/" in handler.path:
            handler.drain()
            return reply(handler, 201, OCI_Subject=image.digest)
        return False

    service.intercept = intercept
    send(registry, store, reference, signature)
    assert service.requests("GET", referrers_tag(image.digest)) == []
    assert len(service.requests("PUT", "/manifests/")) == 2, "the image and the signature"


def test_pages_of_the_api_are_put_together(store: Store, reference: Reference, service: Service) -> None:
    image = put_image(store)
    entries = [
        Descriptor(mediatypes.OCI_MANIFEST, Digest.of(name), 3, artifact_type=kind)
        for name, kind in ((b"one", SIGNATURE), (b"two", SBOM), (b"three", SIGNATURE))
    ]

    def intercept(handler: Handler) -> bool:
        number = int(handler.query.get("page", "0"))
        body = json.dumps(Index(mediatypes.OCI_INDEX, (entries[number],)).to_json()).encode()
        link = {"Link": f'</v2/team/app/referrers/{image.digest}?page={number + 1}>; rel="next"'} if number < 2 else {}
        return reply(handler, 200, body, Content_Type=mediatypes.OCI_INDEX, **link)

    service.intercept = intercept
    pinned = reference.with_digest(image.digest)
    with Registry(RegistryConfig(), Credentials(), policy=QUICK) as registry:
        assert registry.referrers(pinned) == tuple(entries)
        assert [one.digest for one in registry.referrers(pinned, SIGNATURE)] == [entries[0].digest, entries[2].digest]


def test_pages_without_end_end(registry: Registry, store: Store, reference: Reference, service: Service) -> None:
    image = put_image(store)
    body = Index(mediatypes.OCI_INDEX, ()).to_bytes()
    link = f'</v2/team/app/referrers/{image.digest}>; rel="next"'
    service.intercept = lambda handler: reply(handler, 200, body, Content_Type=mediatypes.OCI_INDEX, Link=link)
    assert registry.referrers(reference.with_digest(image.digest)) == ()
    assert len(service.seen) == 100
