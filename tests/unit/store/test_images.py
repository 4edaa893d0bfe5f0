from __future__ import annotations

import itertools
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import InvalidDocument, InvalidReference, NotInStore
from ocibuild.oci import (
    Descriptor,
    DiffID,
    Digest,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    Reference,
    RunConfig,
    mediatypes,
)
from ocibuild.store import REF_NAME, Layer, find_image, list_images, load_image, pair_layers

if TYPE_CHECKING:
    from ocibuild.store import Store

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
APP = Reference.parse("app")


def put_image(store: Store, text: str = "one", platform: Platform = AMD64) -> Descriptor:
    layer = store.blobs.put(text.encode(), mediatypes.OCI_LAYER)
    config = ImageConfig(platform, config=RunConfig(user=text), diff_ids=(DiffID(layer.digest),))
    blob = store.blobs.put(config.to_bytes(), mediatypes.OCI_CONFIG)
    return store.blobs.put(Manifest(mediatypes.OCI_MANIFEST, blob, (layer,)).to_bytes(), mediatypes.OCI_MANIFEST)


def put_index(store: Store, *entries: Descriptor) -> Descriptor:
    return store.blobs.put(Index(mediatypes.OCI_INDEX, entries).to_bytes(), mediatypes.OCI_INDEX)


def image_id(store: Store, descriptor: Descriptor) -> Digest:
    return load_image(store.blobs, descriptor.digest, AMD64).manifest.config.digest


def test_image_is_manifest_config_and_layers(store: Store) -> None:
    descriptor = put_image(store)
    image = load_image(store.blobs, descriptor.digest, ARM64)
    assert image.descriptor == descriptor
    assert image.config.config.user == "one"
    assert image.layers == (Layer(image.config.diff_ids[0], image.manifest.layers[0]),)


def test_index_gives_the_image_of_the_platform(store: Store) -> None:
    images = {platform: put_image(store, str(platform), platform) for platform in (AMD64, ARM64)}
    index = put_index(store, *(replace(image, platform=platform) for platform, image in images.items()))
    for platform, image in images.items():
        assert load_image(store.blobs, index.digest, platform).descriptor == image
    with pytest.raises(NotInStore, match="no image for linux/s390x"):
        load_image(store.blobs, index.digest, Platform("linux", "s390x"))


def test_image_without_its_config_is_not_in_the_store(store: Store) -> None:
    descriptor = put_image(store)
    config = image_id(store, descriptor)
    os.unlink(store.blobs.path(config))
    with pytest.raises(NotInStore, match=config):
        load_image(store.blobs, descriptor.digest, AMD64)


def test_layers_without_as_many_diff_ids_are_refused(store: Store) -> None:
    image = load_image(store.blobs, put_image(store).digest, AMD64)
    with pytest.raises(InvalidDocument, match="0 diff IDs for 1 layers"):
        pair_layers(image.manifest, replace(image.config, diff_ids=()))


def test_images_are_listed_by_each_of_their_names(store: Store) -> None:
    one, two = put_image(store, "one"), put_image(store, "two")
    store.tags.set(APP, one)
    store.tags.set(APP.with_tag("2"), one)
    store.tags.keep(two)
    found = [(listed.reference, listed.summary.manifest) for listed in list_images(store, AMD64)]
    assert found == [(APP, one.digest), (APP.with_tag("2"), one.digest), (None, two.digest)]


def test_what_others_put_there_is_passed_over(store: Store) -> None:
    missing = Descriptor(mediatypes.OCI_MANIFEST, Digest.of(b"missing"), 7)
    store.tags.keep(missing)
    strange = put_image(store, "strange")
    index = Index(mediatypes.OCI_INDEX, (missing, strange.with_annotations({REF_NAME: "No Name"})))
    with open(os.path.join(store.root, "index.json"), "wb") as file:
        file.write(index.to_bytes())
    assert list(list_images(store, AMD64)) == []


def test_image_is_found_by_name_digest_and_id(store: Store) -> None:
    one, two = put_image(store, "one"), put_image(store, "two")
    store.tags.set(APP, one)
    store.tags.keep(two)
    identity = image_id(store, two)
    for text, wanted in [
        ("app", one),
        ("docker.io/library/app:latest", one),
        (f"app@{two.digest}", two),
        (identity, two),
        (identity.encoded, two),
        (identity.short, two),
        (identity.encoded[:4], two),
        (f"sha256:{identity.short}", two),
    ]:
        assert find_image(store, text, AMD64).descriptor == wanted


@pytest.mark.parametrize("text", ["other", "app:2", f"app@{Digest.of(b'none')}", "0" * 12])
def test_image_that_is_not_there_is_named(text: str, store: Store) -> None:
    store.tags.set(APP, put_image(store))
    with pytest.raises(NotInStore, match=text[:12]):
        find_image(store, text, AMD64)


def test_text_that_names_nothing_is_refused(store: Store) -> None:
    with pytest.raises(InvalidReference):
        find_image(store, "No Name", AMD64)


def bare_config(number: int) -> bytes:
    return ImageConfig(AMD64, config=RunConfig(user=str(number))).to_bytes(validated=False)


def two_ids_that_begin_alike() -> tuple[str, int, int]:
    seen: dict[str, int] = {}
    for number in itertools.count():
        start = Digest.of(bare_config(number)).encoded[:4]
        if start in seen:
            return start, seen[start], number
        seen[start] = number
    raise AssertionError


def test_id_that_several_images_begin_with_is_refused(store: Store) -> None:
    start, *numbers = two_ids_that_begin_alike()
    for number in numbers:
        config = store.blobs.put(bare_config(number), mediatypes.OCI_CONFIG)
        manifest = Manifest(mediatypes.OCI_MANIFEST, config, ())
        store.tags.keep(store.blobs.put(manifest.to_bytes(), mediatypes.OCI_MANIFEST))
    with pytest.raises(NotInStore, match="2 images have an ID that begins so"):
        find_image(store, start, AMD64)


def test_name_that_looks_like_an_id_is_found(store: Store) -> None:
    image = put_image(store)
    store.tags.set(Reference.parse("cafe"), image)
    assert find_image(store, "cafe", AMD64).descriptor == image
