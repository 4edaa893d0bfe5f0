from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocibuild.oci import ChainID, Descriptor, DiffID, Digest, mediatypes
from ocibuild.store import Layer, Record, Snapshot, Store
from tests.unit.store.processes import kill_when_ready, start, until_ready

if TYPE_CHECKING:
    from ocibuild.store import ActiveSnapshot

CHAIN = ChainID(Digest.of(b"chain"))
LAYER = Layer(
    DiffID(Digest.of(b"tar")), Descriptor(mediatypes.OCI_LAYER_GZIP, Digest.of(b"gzip"), 4, annotations={"a": "b"})
)


def folders(store: Store) -> list[str]:
    return sorted(os.listdir(os.path.join(store.root, "snapshots")))


def fill(active: ActiveSnapshot) -> None:
    Path(active.upper, "file").write_bytes(b"content")
    os.makedirs(os.path.join(active.upper, "a", "b"))
    os.chmod(os.path.join(active.upper, "a"), 0)
    Path(active.scratch, "work").mkdir()


def fill_and_fail(active: ActiveSnapshot) -> None:
    fill(active)
    raise KeyboardInterrupt


def test_new_snapshot_is_an_empty_folder_with_another_for_scratch(store: Store) -> None:
    with store.snapshots.begin() as active:
        assert os.listdir(active.upper) == []
        assert os.listdir(active.scratch) == []
        assert os.path.dirname(active.upper) == active.path
        assert store.snapshots.by_id(active.id) is None


def test_committed_snapshot_keeps_its_tree_and_loses_its_scratch(store: Store) -> None:
    with store.snapshots.begin() as active:
        fill(active)
        snapshot = active.commit()
    assert snapshot == Snapshot(active.id, active.upper)
    assert Path(snapshot.path, "file").read_bytes() == b"content"
    store.snapshots.sweep()
    assert not os.path.exists(active.scratch)
    assert store.snapshots.by_id(active.id) == snapshot


def test_scratch_of_a_killed_process_is_removed_also_where_its_snapshot_was_committed(store: Store) -> None:
    kill_when_ready(
        store.root,
        """
active = store.snapshots.begin()
active.commit()
ready()
""",
    )
    with store.snapshots.begin() as mine:
        store.snapshots.recover()
        store.snapshots.sweep()
        assert os.listdir(os.path.join(store.root, "scratch")) == [str(mine.id)]
    store.snapshots.sweep()
    assert os.listdir(os.path.join(store.root, "scratch")) == []


def test_snapshot_that_is_not_committed_is_removed(store: Store) -> None:
    active = store.snapshots.begin()
    with pytest.raises(KeyboardInterrupt), active:
        fill_and_fail(active)
    assert folders(store) == []
    with store.snapshots.begin() as second:
        assert second.id != active.id


def test_snapshot_is_found_by_its_chain(store: Store) -> None:
    assert store.snapshots.by_chain(CHAIN) is None
    with store.snapshots.begin() as active:
        snapshot = active.commit(chain_id=CHAIN, layer=LAYER)
    assert store.snapshots.by_chain(CHAIN) == snapshot
    assert snapshot.layer == LAYER


def test_active_snapshot_is_not_found_by_its_chain(store: Store) -> None:
    with store.snapshots.begin():
        assert store.snapshots.by_chain(CHAIN) is None


def test_layer_and_chain_may_become_known_later(store: Store) -> None:
    with store.snapshots.begin() as active:
        snapshot = active.commit()
    packed = store.snapshots.packed(snapshot, LAYER)
    assert packed == Snapshot(snapshot.id, snapshot.path, LAYER)
    store.snapshots.name({snapshot.id: CHAIN})
    store.snapshots.name({})
    assert store.snapshots.by_chain(CHAIN) == packed
    with Store.open(store.root) as again:
        assert again.snapshots.by_chain(CHAIN) == packed


def test_of_two_with_one_chain_the_first_is_taken(store: Store) -> None:
    found = []
    for _ in range(2):
        with store.snapshots.begin() as active:
            found.append(active.commit(chain_id=CHAIN, layer=LAYER))
    assert store.snapshots.by_chain(CHAIN) == found[0]


def test_use_is_remembered(store: Store) -> None:
    with store.snapshots.begin() as active:
        snapshot = active.commit()
    query = "SELECT used FROM snapshots"
    database = sqlite3.connect(os.path.join(store.root, "ocibuild.db"))
    ((before,),) = database.execute(query)
    store.snapshots.touch([snapshot.id])
    ((after,),) = database.execute(query)
    database.close()
    assert after > before


BEGIN = """
active = store.snapshots.begin()
os.makedirs(active.upper + "/a/b")
os.chmod(active.upper + "/a", 0)
"""


def test_snapshot_of_a_killed_process_is_removed(store: Store) -> None:
    kill_when_ready(store.root, BEGIN + "ready()")
    assert len(folders(store)) == 1
    store.snapshots.recover()
    assert folders(store) == []
    with store.snapshots.begin() as active:
        active.commit()


def test_snapshot_of_a_living_process_stays(store: Store) -> None:
    with until_ready(store.root, BEGIN + "ready()"):
        store.snapshots.recover()
        assert len(folders(store)) == 1
    store.snapshots.recover()
    assert folders(store) == []


def test_own_active_snapshot_survives_recovery(store: Store) -> None:
    with store.snapshots.begin() as active:
        store.snapshots.recover()
        assert os.path.isdir(active.upper)
        snapshot = active.commit()
    store.snapshots.recover()
    assert os.path.isdir(snapshot.path)


def test_committed_snapshot_outlives_a_killed_process(store: Store) -> None:
    kill_when_ready(store.root, BEGIN + "active.commit(chain_id=ChainID(Digest.of(b'chain'))); ready()")
    store.snapshots.recover()
    found = store.snapshots.by_chain(CHAIN)
    assert found is not None
    assert os.listdir(found.path) == ["a"]


def test_process_killed_between_folder_and_record_leaves_nothing(store: Store) -> None:
    program = """
active = store.snapshots.begin()
import shutil; shutil.rmtree(active.path)
ready()
"""
    kill_when_ready(store.root, program)
    store.snapshots.recover()
    database = sqlite3.connect(os.path.join(store.root, "ocibuild.db"))
    assert database.execute("SELECT count(*) FROM snapshots").fetchone() == (0,)
    database.close()


def test_snapshots_of_processes_at_once_do_not_meet(store: Store) -> None:
    program = """
for n in range(20):
    with store.snapshots.begin() as active:
        open(active.upper + "/mine", "x").write(sys.argv[2])
        snapshot = active.commit()
        assert open(snapshot.path + "/mine").read() == sys.argv[2]
    store.snapshots.recover()
"""
    processes = [start(store.root, program, name) for name in ("a", "b", "c")]
    for process in processes:
        with process:
            process.communicate()
        assert process.returncode == 0
    assert len(folders(store)) == 60


def test_store_whose_database_was_removed_starts_anew(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    with Store.open(root) as store:
        for _ in range(3):
            with store.snapshots.begin() as active:
                Path(active.upper, "old").write_bytes(b"")
                active.commit(chain_id=CHAIN)
    for name in os.listdir(root):
        if name.startswith("ocibuild.db"):
            os.unlink(os.path.join(root, name))
    with Store.open(root) as store:
        with store.snapshots.begin() as active:
            assert os.listdir(active.upper) == []
            snapshot = active.commit()
        store.snapshots.recover()
        assert folders(store) == [str(snapshot.id)]
        assert store.snapshots.by_chain(CHAIN) is None


def test_records_of_a_snapshot_go_with_it(store: Store) -> None:
    key = Digest.of(b"key")
    with store.snapshots.begin() as active:
        snapshot = active.commit()
    store.records.put(key, Record(snapshot.id, "2024-05-01T10:00:00Z"))
    database = sqlite3.connect(os.path.join(store.root, "ocibuild.db"))
    database.execute("PRAGMA foreign_keys = ON")
    with database:
        database.execute("DELETE FROM snapshots")
    database.close()
    assert store.records.get(key) is None


def test_snapshot_whose_owners_are_kept_in_another_form_is_none(store: Store) -> None:
    store.snapshots.owners = "recorded"
    with store.snapshots.begin() as active:
        recorded = active.commit(chain_id=CHAIN, layer=LAYER)
    assert store.snapshots.by_chain(CHAIN) == recorded
    store.snapshots.owners = "real"
    assert store.snapshots.by_chain(CHAIN) is None
    assert store.snapshots.by_id(recorded.id) is None
    with store.snapshots.begin() as active:
        real = active.commit(chain_id=CHAIN, layer=LAYER)
    assert store.snapshots.by_chain(CHAIN) == real
    store.snapshots.owners = None  # for who only looks
    assert store.snapshots.by_id(recorded.id) == recorded
