"""Images that are not what they should be: refused with a clear error, nothing kept, and the store goes on."""

from __future__ import annotations

import gzip
import json
import resource
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from ocibuild.errors import DigestMismatch, InvalidDocument, InvalidLayer, OcibuildError, UnsupportedMediaType
from ocibuild.oci import Digest, Reference, mediatypes
from tests.faults.world import IMAGE, describe, dumps, make_image, make_index

if TYPE_CHECKING:
    from tests.faults.world import Image, World

FILES: Final = (("a", b"first\n"), ("b", b"second\n"))
GOOD: Final = make_image(*FILES)
NO_DIGEST: Final = f"sha256:{'0' * 64}"


def layers_of(image: Image) -> list[dict[str, object]]:
    layers: list[dict[str, object]] = json.loads(image.manifest)["layers"]
    return layers


def changed(document: bytes, **members: object) -> bytes:
    return dumps(json.loads(document) | members)


def with_manifest(image: Image, manifest: bytes) -> Image:
    return replace(image, manifest=manifest, index=make_index(manifest))


def nested(depth: int) -> Image:
    """Return an image below so many indexes; those between are kept as its config, its layers and its manifest."""
    index = make_index(GOOD.manifest)
    documents = [index]
    for _ in range(depth - 1):
        documents.append(make_index(documents[-1], mediatypes.OCI_INDEX))
    return replace(GOOD, index=documents[-1], layers=(*GOOD.layers, *documents[:-1]))


def layer_with(data: bytes, diff_id: str | None = None) -> Image:
    """Return an image whose second layer is ``data``."""
    layers = [layers_of(GOOD)[0], describe(data, mediatypes.OCI_LAYER_GZIP)]
    diff_ids = [json.loads(GOOD.config)["rootfs"]["diff_ids"][0], diff_id or NO_DIGEST]
    made = make_image(*FILES, layers=layers, diff_ids=diff_ids)
    return replace(made, layers=(GOOD.layers[0], data))


IMAGES: Final[dict[str, tuple[Image, type[OcibuildError], str]]] = {
    "the config is no JSON": (make_image(*FILES, config=b"not JSON"), InvalidDocument, "JSON"),
    "the config is a list": (make_image(*FILES, config=b"[]"), InvalidDocument, "config"),
    "the config is null": (make_image(*FILES, config=b"null"), InvalidDocument, "config"),
    "the config is empty": (make_image(*FILES, config=b""), InvalidDocument, ""),
    "the config is JSON of a depth without end": (
        make_image(*FILES, config=b'{"a":' + b"[" * 200_000), InvalidDocument, "",
    ),
    "the config has a number without end": (
        make_image(*FILES, config=b'{"a":' + b"9" * 100_000 + b"}"), InvalidDocument, "",
    ),
    "the config has no diff IDs": (make_image(*FILES, diff_ids=[]), InvalidDocument, "0 diff IDs"),
    "the config has a diff ID too many": (
        make_image(*FILES, diff_ids=[NO_DIGEST] * 3), InvalidDocument, "3 diff IDs, its manifest 2 layers",
    ),
    "the config has null for diff IDs": (
        make_image(*FILES, config=b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":null}}'),
        InvalidDocument, "",
    ),
    "a diff ID is another one": (make_image(*FILES, diff_ids=[NO_DIGEST, NO_DIGEST]), DigestMismatch, NO_DIGEST),
    "the config is larger than sixteen mebibytes": (
        with_manifest(GOOD, changed(GOOD.manifest, config=describe(GOOD.config, mediatypes.OCI_CONFIG, size=1 << 30))),
        InvalidDocument, "16777216 are allowed",
    ),
    "the config is smaller than the manifest says": (
        with_manifest(GOOD, changed(GOOD.manifest, config=describe(GOOD.config, mediatypes.OCI_CONFIG, size=9_999))),
        DigestMismatch, "9999",
    ),
    "the layers are null": (with_manifest(GOOD, changed(GOOD.manifest, layers=None)), InvalidDocument, "layers"),
    "a layer is null": (with_manifest(GOOD, changed(GOOD.manifest, layers=[None])), InvalidDocument, "layers"),
    "there is no config": (with_manifest(GOOD, changed(GOOD.manifest, config=None)), InvalidDocument, "config"),
    "a layer has no digest": (
        with_manifest(GOOD, changed(GOOD.manifest, layers=[{"mediaType": mediatypes.OCI_LAYER, "size": 5}])),
        InvalidDocument, "digest",
    ),
    "a layer's digest is a path": (
        with_manifest(GOOD, changed(GOOD.manifest, layers=[layers_of(GOOD)[0] | {"digest": "sha256:../../../x"}])),
        OcibuildError, "",
    ),
    "a layer has a size below zero": (
        with_manifest(GOOD, changed(GOOD.manifest, layers=[layers_of(GOOD)[0] | {"size": -1}])), InvalidDocument, "",
    ),
    "a layer is smaller than the manifest says": (
        with_manifest(GOOD, changed(GOOD.manifest, layers=[layers_of(GOOD)[0] | {"size": 10**9}, layers_of(GOOD)[1]])),
        DigestMismatch, "manifest says",
    ),
    "a layer is larger than the manifest says": (
        with_manifest(GOOD, changed(GOOD.manifest, layers=[layers_of(GOOD)[0] | {"size": 10}, layers_of(GOOD)[1]])),
        DigestMismatch, "manifest says",
    ),
    "one layer has two sizes": (
        with_manifest(GOOD, changed(GOOD.manifest, layers=[layers_of(GOOD)[0], layers_of(GOOD)[0] | {"size": 10}])),
        DigestMismatch, "were promised",
    ),
    "there are more than a thousand layers": (
        make_image(*FILES, layers=layers_of(GOOD) * 501, diff_ids=[NO_DIGEST] * 1002), InvalidDocument, "1002 layers",
    ),
    "a layer has a media type nobody knows": (
        make_image(*FILES, layers=[describe(b"", "application/vnd.example+xz")] * 2), UnsupportedMediaType, "example",
    ),
    "the manifest is an index too": (
        with_manifest(GOOD, changed(GOOD.manifest, manifests=[])), InvalidDocument, "manifests",
    ),
    "the manifest has another size than the index says": (
        replace(GOOD, index=make_index(GOOD.manifest, size=5)), DigestMismatch, "5 were promised",
    ),
    "the manifest has another media type than the index says": (
        replace(GOOD, index=make_index(GOOD.manifest, mediatypes.DOCKER_MANIFEST)), InvalidDocument, "mediaType",
    ),
    "four indexes lie in one another": (nested(4), InvalidDocument, "more than 3 indexes"),
    "a layer is no gzip": (layer_with(b"#!/bin/sh\necho hello\n" * 100), InvalidLayer, "gzip"),
    "a layer is gzip that ends too early": (layer_with(IMAGE.layers[0][:100_000]), InvalidLayer, "ends too early"),
    "a layer is no tar": (
        layer_with(gzip.compress(b"no tar" * 1000, mtime=0)), InvalidLayer, "",
    ),
    "a layer is empty where one was promised": (layer_with(b""), OcibuildError, ""),
}  # fmt: skip


@pytest.mark.parametrize("what", IMAGES)
def test_it_is_refused_where(world: World, what: str) -> None:
    image, error, says = IMAGES[what]
    reference = publish(world, image)
    with pytest.raises(error, match=says or None) as raised:
        world.pull(reference)
    assert str(reference) in str(raised.value)
    assert "sha256:" in str(raised.value)
    assert "\n" not in str(raised.value)
    world.check_has_not(image, reference)
    assert not set(map(Digest.of, image.layers)) & set(world.store.blobs), "a layer of it is here"
    assert max(world.hub.counts().values()) == 1, "it was asked for once"
    world.pull()
    world.check_has(IMAGE)
    GOOD.publish(world.hub, "library/bad")
    world.pull(reference)
    world.check_has(GOOD, reference)


def publish(world: World, image: Image) -> Reference:
    reference = image.publish(world.hub, "library/bad")
    for document in image.layers:  # an index between is found as a manifest
        kind = mediatypes.OCI_INDEX if b'"manifests"' in document else mediatypes.OCI_MANIFEST
        world.hub.files.put(f"library/bad/_manifests/{Digest.of(document)}", kind.encode() + b"\n" + document)
    return reference


def test_three_indexes_may_lie_in_one_another(world: World) -> None:
    reference = publish(world, nested(3))
    world.pull(reference)
    world.check_has(GOOD, reference)


LYING: Final = {
    "the manifest": replace(GOOD, index=make_index(GOOD.manifest, size=5)),
    "the config": with_manifest(
        GOOD, changed(GOOD.manifest, config=describe(GOOD.config, mediatypes.OCI_CONFIG, size=len(GOOD.config) + 1))
    ),
    "a layer": with_manifest(
        GOOD, changed(GOOD.manifest, layers=[layers_of(GOOD)[0] | {"size": 5}, layers_of(GOOD)[1]])
    ),
}


@pytest.mark.parametrize("what", LYING)
def test_a_size_that_lies_is_refused_of_what_the_store_has(world: World, what: str) -> None:
    reference = GOOD.publish(world.hub, "library/good")
    world.pull(reference)
    before = set(world.store.blobs)
    with pytest.raises(DigestMismatch, match="were promised"):
        world.pull(LYING[what].publish(world.hub, "library/bad"))
    assert set(world.store.blobs) == before
    world.pull(reference)
    world.check_has(GOOD, reference)


def test_a_manifest_that_is_a_layer_of_the_store_is_refused(world: World) -> None:
    hidden = dumps({"schemaVersion": 2, "config": {}, "layers": [None]})
    world.store.blobs.put(hidden, mediatypes.OCI_LAYER)
    reference = replace(GOOD, index=make_index(hidden)).publish(world.hub, "library/bad")
    with pytest.raises(InvalidDocument) as raised:
        world.pull(reference)
    assert str(reference) in str(raised.value)
    world.check_has_not(GOOD, reference)


def test_memory_does_not_follow_what_is_promised(world: World) -> None:
    zeros = make_image(("zeros", bytes(256 << 20)), diff_ids=[NO_DIGEST])
    reference = zeros.publish(world.hub, "library/bad")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DigestMismatch):
        world.pull(reference)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
    world.check_has_not(zeros, reference)
