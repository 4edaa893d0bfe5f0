from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import DigestMismatch, InvalidDocument, NotInStore
from ocibuild.oci import Descriptor, Digest, Reference, mediatypes
from ocibuild.store import StoreDestination, StoreSource

if TYPE_CHECKING:
    from ocibuild.store import Store

APP = Reference.parse("app:1")


CONFIG = b'{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}'


def put_manifest(store: Store, config_data: bytes = CONFIG) -> tuple[Descriptor, bytes]:
    config = store.blobs.put(config_data, mediatypes.OCI_CONFIG)
    text = '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s","size":%d},"layers":[]}'
    data = (text % (mediatypes.OCI_MANIFEST, config.media_type, config.digest, config.size)).encode()
    return Descriptor(mediatypes.OCI_MANIFEST, Digest.of(data), len(data)), data


def test_a_blob_is_kept_once_it_is_whole(store: Store) -> None:
    destination = StoreDestination(store, APP)
    blob = Descriptor(mediatypes.OCI_LAYER, Digest.of(b"right"), 5)
    told: list[int] = []
    with pytest.raises(DigestMismatch, match=str(blob.digest)):
        destination.put_blob(blob, lambda _: io.BytesIO(b"wrong"), told.append)
    assert not destination.has_blob(blob)
    destination.put_blob(blob, lambda _: io.BytesIO(b"right"), told.append)
    assert destination.has_blob(blob)
    assert told == [0, 5, 0, 5]
    with StoreSource(store, blob, "it").open_blob(blob, 2) as reader:
        assert reader.read() == b"ght"


def test_what_is_finished_has_the_tag_and_what_had_it_stays(store: Store) -> None:
    other = store.blobs.put(b"{}", mediatypes.OCI_MANIFEST)
    store.tags.set(APP, other)
    descriptor, data = put_manifest(store)
    StoreDestination(store, APP).finish(descriptor, data)
    source = StoreSource.named(store, APP)
    assert source.root().digest == descriptor.digest
    assert source.read_manifest(descriptor) == data
    assert [entry.digest for entry in store.tags.entries()] == [other.digest, descriptor.digest]


def test_a_digest_is_a_name_for_what_has_it(store: Store) -> None:
    descriptor, data = put_manifest(store)
    named = Reference("docker.io", "library/app", None, descriptor.digest)
    with pytest.raises(DigestMismatch, match=f"store:app@.*: what is copied has the digest {descriptor.digest}"):
        StoreDestination(store, named.with_digest(Digest.of(b""))).finish(descriptor, data)
    assert store.tags.entries() == ()
    StoreDestination(store, named).finish(descriptor, data)
    assert store.tags.entries() == (descriptor,)
    assert StoreSource.named(store, named).root() == descriptor


def test_what_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(NotInStore, match=r"store:app:1: no such image in the store"):
        StoreSource.named(store, APP)
    nothing = Descriptor(mediatypes.OCI_LAYER, Digest.of(b""), 0)
    with pytest.raises(NotInStore, match="no such blob"):
        StoreSource(store, nothing, "it").open_blob(nothing)


def test_a_damaged_manifest_is_refused(store: Store) -> None:
    descriptor, data = put_manifest(store)
    StoreDestination(store, APP).finish(descriptor, data)
    with open(store.blobs.path(descriptor.digest), "r+b") as file:
        file.write(b"X")
    with pytest.raises(DigestMismatch):
        StoreSource.named(store, APP).read_manifest(descriptor)


@pytest.mark.parametrize("config", [b"{", b"[]", CONFIG.replace(b"layers", b"other"), b'{"os": 1}'])
def test_a_config_that_is_none_is_not_named(config: bytes, store: Store) -> None:
    descriptor, data = put_manifest(store, config)
    with pytest.raises(InvalidDocument, match=r"^store:app:1: sha256:\w+: config: "):
        StoreDestination(store, APP).finish(descriptor, data)
    assert store.tags.entries() == ()
    assert not store.blobs.has(descriptor.digest)
