"""What a list of images shows of each: read once, and kept while the image is there."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from ocibuild.oci import Platform, Reference
from ocibuild.store import list_images, load_image
from tests.unit.store.test_images import put_image

if TYPE_CHECKING:
    from ocibuild.store import Store

AMD64 = Platform("linux", "amd64")
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


def test_what_has_no_entry_any_more_is_forgotten(store: Store) -> None:
    one, two = put_image(store, "one"), put_image(store, "two")
    store.tags.set(APP, one)
    store.tags.keep(two)
    list(list_images(store, AMD64))
    assert sorted(_kept(store)) == sorted([one.digest, two.digest])
    store.tags.remove(APP)
    list(list_images(store, AMD64))
    assert _kept(store) == [two.digest]
