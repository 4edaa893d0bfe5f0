from __future__ import annotations

import os
from pathlib import Path

import pytest

from ocibuild.graph import Sharing
from ocibuild.oci import ChainID, Descriptor, DiffID, Digest, Reference, mediatypes
from ocibuild.store import Cache, Item, Kind, Layer, Pruning, Record, Store, snapshots
from ocibuild.store.removal import try_remove
from tests.unit.store.processes import kill_when_ready, until_ready

WORKING = """
with store.leases.held():
    ready()
"""


def _snapshot(store: Store, content: bytes, *, label: str | None = None, chain: bool = False) -> Layer:
    """Put a committed snapshot with a packed layer into the store."""
    blob = store.blobs.put(content, mediatypes.OCI_LAYER_GZIP)
    layer = Layer(DiffID(Digest.of(content)), blob)
    with store.snapshots.begin() as active:
        Path(active.upper, "file").write_bytes(content * 5000)
        active.commit(chain_id=ChainID(Digest.of(content)) if chain else None, layer=layer)
        if label is not None:
            store.records.put(Digest.of(content), Record(active.id, "", label))
    return layer


def _items(store: Store) -> dict[str, Item]:
    return {item.label or item.id: item for item in store.usage.items()}


def _image(store: Store, layer: Layer) -> Descriptor:
    """Put an image with one layer into the store, under a tag."""
    config = store.blobs.put(b"{}", mediatypes.OCI_CONFIG)
    document = (
        b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": %s, "layers": [%s]}'
    )
    parts = [str(one.to_json()).replace("'", '"').encode() for one in (config, layer.descriptor)]
    manifest = store.blobs.put(document % tuple(parts), mediatypes.OCI_MANIFEST)
    store.tags.set(Reference.parse("app"), manifest)
    return manifest


def test_everything_that_takes_room_is_told_with_what_it_takes(store: Store) -> None:
    _snapshot(store, b"step", label="RUN step")
    layer = _snapshot(store, b"layer", chain=True)
    _image(store, layer)
    cache = Cache("apt", Digest.of(b"apt"))
    with store.caches.using(cache, Sharing.SHARED, os.mkdir) as path:
        Path(path, "file").write_bytes(b"x" * 9000)
    stray = store.blobs.put(b"stray", mediatypes.OCI_LAYER_GZIP)
    found = _items(store)
    assert {name: item.kind for name, item in found.items()} == {
        "RUN step": Kind.STEP,
        str(layer.descriptor.digest): Kind.LAYER,
        "apt": Kind.CACHE,
        str(stray.digest): Kind.BLOB,
    }
    assert found["RUN step"].size >= 20_000 + len(b"step")
    assert found["apt"].size >= 9000
    assert [item.shared for item in found.values()].count(True) == 1
    assert found[str(layer.descriptor.digest)].shared
    assert not any(item.in_use for item in found.values())


def test_what_was_used_first_comes_first(store: Store) -> None:
    for name in ("one", "two", "three"):
        _snapshot(store, name.encode(), label=name)
    (first,) = [item for item in store.usage.items() if item.label == "one"]
    assert store.snapshots.by_id(int(first.id)) is not None
    assert [item.label for item in store.usage.items()] == ["two", "three", "one"]


def test_a_snapshot_goes_with_its_record_and_its_blob(store: Store) -> None:
    layer = _snapshot(store, b"step", label="RUN step")
    item = _items(store)["RUN step"]
    assert item.blob == str(layer.descriptor.digest)
    assert store.usage.prune(Pruning()) == [item]
    assert store.records.get(Digest.of(b"step")) is None
    assert os.listdir(os.path.join(store.root, "snapshots")) == []
    assert not list(store.blobs)
    assert store.usage.items() == []


def test_what_an_image_has_is_not_removed_with_its_snapshot(store: Store) -> None:
    layer = _snapshot(store, b"step", label="RUN step")
    _image(store, layer)
    item = _items(store)["RUN step"]
    assert item.blob is None
    assert store.usage.prune(Pruning()) == []
    assert store.usage.prune(Pruning(everything=True)) == [item]
    assert store.blobs.has(layer.descriptor.digest)


def test_what_was_used_after_the_list_was_made_stays(store: Store) -> None:
    _snapshot(store, b"step", label="RUN step")
    item = _items(store)["RUN step"]
    assert store.snapshots.by_id(int(item.id)) is not None
    assert not store.snapshots.remove(int(item.id), unless_used_since=item.used)
    assert store.records.get(Digest.of(b"step")) is not None


def test_whoever_recovers_leaves_alone_what_somebody_else_removes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _snapshot(store, b"step", label="RUN step")
    (item,) = store.usage.items()
    folder = store.snapshots.path(int(item.id))
    seen: list[bool] = []

    def remove(path: str) -> bool:
        with Store.open(store.root) as other:
            other.snapshots.recover()
            assert not other.snapshots.remove(int(item.id), unless_used_since=item.used)
        seen.append(os.path.exists(folder))
        return try_remove(path)

    monkeypatch.setattr(snapshots, "try_remove", remove)
    assert store.usage.prune(Pruning()) == [item]
    assert seen[0]
    assert not os.path.exists(folder)


def test_what_a_killed_process_was_removing_is_gone_at_the_next_start(store: Store) -> None:
    _snapshot(store, b"step", label="RUN step")
    (item,) = store.usage.items()
    program = f"""
import ocibuild.store.snapshots as snapshots
snapshots.try_remove = lambda path: ready()
store.snapshots.remove({item.id}, unless_used_since={item.used})
"""
    kill_when_ready(store.root, program)
    assert store.records.get(Digest.of(b"step")) is None
    store.snapshots.recover()
    assert [one.kind for one in store.usage.items()] == [Kind.BLOB]  # the layer's, which nothing names now
    assert os.listdir(os.path.join(store.root, "snapshots")) == []


def test_what_somebody_works_with_is_in_use_and_blobs_wait(store: Store) -> None:
    _snapshot(store, b"before", label="before")
    stray = str(store.blobs.put(b"stray", mediatypes.OCI_LAYER_GZIP).digest)
    with until_ready(store.root, WORKING):
        _snapshot(store, b"since", label="since")
        found = _items(store)
        assert {name: item.in_use for name, item in found.items()} == {"before": False, "since": True, stray: True}
        assert store.usage.prune(Pruning()) == [found["before"]]
        assert store.blobs.has(Digest.parse(stray))
    assert not any(item.in_use for item in store.usage.items())
    assert stray in {item.id for item in store.usage.prune(Pruning())}
    assert not list(store.blobs)


def test_who_was_killed_works_no_more(store: Store) -> None:
    kill_when_ready(store.root, WORKING)
    assert store.leases.oldest() is None
    with store.leases.held():
        assert store.leases.oldest() is not None
        assert store.leases.keep_out() is None
    assert store.leases.oldest() is None


def test_a_cache_that_is_used_stays(store: Store) -> None:
    with store.caches.using(Cache("apt", Digest.of(b"apt")), Sharing.SHARED, os.mkdir):
        item = _items(store)["apt"]
        assert item.in_use
        assert store.usage.prune(Pruning(everything=True)) == []
        assert not store.caches.remove(item.id)
    assert [item.label for item in store.usage.prune(Pruning())] == ["apt"]
    assert store.usage.items() == []


@pytest.mark.parametrize("name", ["remote", "remote.new"])
def test_a_repository_goes(store: Store, name: str) -> None:
    os.makedirs(os.path.join(store.root, "git", name, "objects"))
    (item,) = store.usage.items()
    assert (item.kind, item.id) == (Kind.REPOSITORY, name)
    assert store.usage.prune(Pruning()) == [item]
    assert os.listdir(os.path.join(store.root, "git")) == []
