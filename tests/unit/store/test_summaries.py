"""What a list of images shows of each: read once, and kept while the image is there."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.oci import ImageConfig, Manifest, Platform, Reference, mediatypes
from ocibuild.store import list_images, load_image
from tests.unit.store.test_images import put_image, put_index

if TYPE_CHECKING:
    from ocibuild.store import Store

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
APP = Reference.parse("app")


def _kept(store: Store) -> list[str]:
    with closing(sqlite3.connect(os.path.join(store.root, "ocibuild.db"))) as database:
        return [manifest for (manifest,) in database.execute("SELECT manifest FROM summaries")]


def test_they_say_what_the_images_do(store: Store) -> None:
    descriptor = put_image(store, "one")
    store.tags.set(APP, descriptor)
    image = load_image(store.blobs, descriptor.digest, AMD64)
    for _ in ("read", "kept"):
        (listed,) = list_images(store, AMD64)
        said = listed.summary
        assert (said.manifest, said.image_id) == (descriptor.digest, image.manifest.config.digest)
        assert (said.created, said.created_at, said.size) == (image.config.created, image.created_at, image.size)
        assert said.labels == image.config.config.labels


def test_documents_are_read_once(store: Store) -> None:
    descriptor = put_image(store, "one")
    store.tags.set(APP, descriptor)
    before = list(list_images(store, AMD64))
    with open(store.blobs.path(descriptor.digest), "wb"):
        pass  # it could not be read any more
    assert list(list_images(store, AMD64)) == before


def test_what_is_gone_is_not_listed(store: Store) -> None:
    one, two = put_image(store, "one"), put_image(store, "two")
    store.tags.set(APP, one)
    store.tags.keep(two)
    first, second = list_images(store, AMD64)
    os.unlink(store.blobs.path(first.summary.image_id))
    assert list(list_images(store, AMD64)) == [second]
    os.unlink(store.blobs.path(two.digest))
    assert list(list_images(store, AMD64)) == []


def test_what_is_gone_is_forgotten(store: Store) -> None:
    one, two = put_image(store, "one"), put_image(store, "two")
    store.tags.set(APP, one)
    store.tags.keep(two)
    list(list_images(store, AMD64))
    assert sorted(_kept(store)) == sorted([one.digest, two.digest])
    os.unlink(store.blobs.path(one.digest))
    list(list_images(store, AMD64))
    assert _kept(store) == [two.digest]


def test_platforms_of_an_index_do_not_drive_each_other_out(store: Store) -> None:
    images = {platform: put_image(store, platform.architecture, platform) for platform in (AMD64, ARM64)}
    entries = [replace(image, platform=platform) for platform, image in images.items()]
    store.tags.set(APP, put_index(store, *entries))
    for platform, image in images.items():
        (listed,) = list_images(store, platform)
        assert listed.summary.manifest == image.digest
    assert sorted(_kept(store)) == sorted(image.digest for image in images.values())


def test_an_index_that_is_called_a_manifest_is_known_for_what_it_is(store: Store) -> None:
    images = {platform: put_image(store, platform.architecture, platform) for platform in (AMD64, ARM64)}
    index = put_index(store, *(replace(image, platform=platform) for platform, image in images.items()))
    store.tags.set(APP, replace(index, media_type=mediatypes.OCI_MANIFEST))
    for platform, image in images.items():
        (listed,) = list_images(store, platform)
        assert listed.summary.manifest == image.digest
    assert _kept(store) == []


def test_nobody_waits_to_keep_them(store: Store) -> None:
    store.tags.set(APP, put_image(store, "one"))
    with closing(sqlite3.connect(os.path.join(store.root, "ocibuild.db"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        (listed,) = list_images(store, AMD64)
        assert time.monotonic() - begun < 10  # of the minute that others are waited for
        other.execute("ROLLBACK")
    assert _kept(store) == []
    assert list(list_images(store, AMD64)) == [listed]
    assert _kept(store) == [listed.summary.manifest]


def test_a_size_that_is_no_number_of_the_database_is_only_shown(store: Store) -> None:
    """Nobody holds the sizes in a manifest of others against anything before the layers are needed."""
    config = store.blobs.put(ImageConfig(AMD64).to_bytes(), mediatypes.OCI_CONFIG)
    layer = store.blobs.put(b"layer", mediatypes.OCI_LAYER)
    manifest = Manifest(mediatypes.OCI_MANIFEST, config, (replace(layer, size=(1 << 63) - 1),))
    store.tags.set(APP, store.blobs.put(manifest.to_bytes(), mediatypes.OCI_MANIFEST))
    (listed,) = list_images(store, AMD64)
    assert listed.summary.size == (1 << 63) - 1 + config.size
    assert _kept(store) == []
