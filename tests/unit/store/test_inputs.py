from __future__ import annotations

import sqlite3

import pytest

from ocibuild.oci import Digest
from ocibuild.store import Kind, MadeFrom, Pruning, Record, Store

LISTING = '{"app/main.py": "100000 0 0 644 0123456789ab"}'


def put(store: Store, name: str, made_from: MadeFrom) -> Digest:
    """Put a record with a result of its own."""
    with store.snapshots.begin() as active:
        active.commit()
    key = Digest.of(name.encode())
    store.records.put(key, Record(active.id, "then", name), made_from)
    return key


def listing(text: str = LISTING, digest: str = "sha256:1") -> MadeFrom:
    return MadeFrom("{}", listings={digest: lambda: text})


@pytest.mark.parametrize(
    "inputs", ['{"a":1}', f'{{"a":"{"x" * 5000}"}}', '{"a":"\\udcff"}'], ids=["short", "long", "odd"]
)
def test_inputs_are_found_by_their_places_the_newest_first(store: Store, inputs: str) -> None:
    first = put(store, "1", MadeFrom(inputs, ("run", "on x")))
    second = put(store, "2", MadeFrom('{"a":2}', ("run",)))
    assert [(one.key, one.inputs) for one in store.records.inputs.near("run", 9)] == [
        (second, '{"a":2}'),
        (first, inputs),
    ]
    assert [one.key for one in store.records.inputs.near("on x", 9)] == [first]
    assert [one.key for one in store.records.inputs.near("run", 1)] == [second]
    assert store.records.inputs.near("elsewhere", 9) == []
    found = store.records.get(first)
    assert found
    assert store.records.inputs.of_snapshots([found.snapshot, 99]) == {found.snapshot: (first, inputs)}


def test_a_record_that_is_put_again_has_its_newer_inputs(store: Store) -> None:
    put(store, "1", MadeFrom('{"a":1}', ("run",)))
    put(store, "2", MadeFrom('{"a":2}', ("run",)))
    key = put(store, "1", MadeFrom('{"a":3}', ("run",)))
    near = store.records.inputs.near("run", 9)
    assert [one.inputs for one in near] == ['{"a":3}', '{"a":2}']
    assert near[0].key == key


def test_a_listing_is_made_once_and_goes_with_the_last_record_that_uses_it(store: Store) -> None:
    put(store, "1", listing())
    put(store, "2", listing("never asked for"))
    assert store.records.inputs.listing("sha256:1") == LISTING
    assert store.records.inputs.listing("sha256:2") is None
    first, second = sorted(store.usage.items(), key=lambda item: int(item.id))
    store.usage.prune(Pruning(ids=frozenset({first.id})))
    assert store.records.inputs.listing("sha256:1") == LISTING
    store.usage.prune(Pruning(ids=frozenset({second.id})))
    assert store.records.inputs.listing("sha256:1") is None


def test_what_was_pruned_is_remembered_until_it_is_made_again(store: Store) -> None:
    key = put(store, "1", MadeFrom("{}", ("run",)))
    assert not store.records.was_pruned(key)
    store.usage.prune(Pruning(kinds=frozenset({Kind.STEP})))
    assert store.records.get(key) is None
    assert store.records.was_pruned(key)
    assert store.records.inputs.near("run", 9) == []
    put(store, "1", MadeFrom("{}"))
    assert not store.records.was_pruned(key)


def test_only_so_much_of_what_was_pruned_is_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocibuild.store.inputs._REMEMBERED", 1)
    first = put(store, "1", MadeFrom("{}"))
    store.usage.prune(Pruning(kinds=frozenset({Kind.STEP})))
    second = put(store, "2", MadeFrom("{}"))
    store.usage.prune(Pruning(kinds=frozenset({Kind.STEP})))
    assert not store.records.was_pruned(first)
    assert store.records.was_pruned(second)


def test_a_store_of_version_4_is_brought_up_to_date_and_keeps_its_records(store: Store) -> None:
    key = put(store, "1", MadeFrom("{}"))
    root = store.root
    store.close()
    with sqlite3.connect(f"{root}/ocibuild.db") as database:
        for table in ("places", "listed", "listings", "inputs", "pruned"):
            database.execute(f"DROP TABLE {table}")
        database.execute("PRAGMA user_version = 4")
    database.close()
    with Store.open(root) as again:
        assert again.records.get(key)
        assert again.records.inputs.near("run", 9) == []
        put(again, "1", MadeFrom('{"a":1}', ("run",)))
        assert len(again.records.inputs.near("run", 9)) == 1


def test_a_store_of_version_5_forgets_its_listings_whose_digests_were_short(store: Store) -> None:
    put(store, "1", listing())
    root = store.root
    store.close()
    with sqlite3.connect(f"{root}/ocibuild.db") as database:
        database.execute("PRAGMA user_version = 5")
    database.close()
    with Store.open(root) as again:
        assert again.records.inputs.listing("sha256:1") is None
        put(again, "2", listing())
        assert again.records.inputs.listing("sha256:1") == LISTING
