from __future__ import annotations

import pytest

from ocibuild.oci import Digest
from ocibuild.store import Record, Store
from tests.unit.store.processes import kill_when_ready, start

KEY, OTHER = Digest.of(b"key"), Digest.of(b"other")
DIGEST = Digest.of(b"content")


def committed(store: Store) -> int:
    with store.snapshots.begin() as active:
        return active.commit().id


def test_record_is_found_by_its_key(store: Store) -> None:
    record = Record(committed(store), "2024-05-01T10:00:00Z")
    store.records.put(KEY, record)
    store.records.touch([KEY, OTHER])
    assert store.records.get(KEY) == record
    assert store.records.get(OTHER) is None
    with Store.open(store.root) as again:
        assert again.records.get(KEY) == record


def test_newer_record_takes_the_place_of_the_older(store: Store) -> None:
    first, second = committed(store), committed(store)
    store.records.put(KEY, Record(first, "2024-05-01T10:00:00Z"))
    store.records.put(KEY, Record(second, "2024-05-02T10:00:00Z"))
    assert store.records.get(KEY) == Record(second, "2024-05-02T10:00:00Z")


def test_record_of_an_active_snapshot_is_not_found_until_it_is_committed(store: Store) -> None:
    with store.snapshots.begin() as active:
        store.records.put(KEY, Record(active.id, "2024-05-01T10:00:00Z"))
        assert store.records.get(KEY) is None
        active.commit()
    assert store.records.get(KEY) is not None


def test_record_of_a_discarded_snapshot_is_gone(store: Store) -> None:
    with store.snapshots.begin() as active:
        store.records.put(KEY, Record(active.id, "2024-05-01T10:00:00Z"))
    assert store.records.get(KEY) is None


def test_record_survives_the_kill_of_its_process(store: Store) -> None:
    program = """
with store.snapshots.begin() as active:
    active.commit()
store.records.put(Digest.of(b"key"), Record(active.id, "2024-05-01T10:00:00Z"))
ready()
"""
    kill_when_ready(store.root, program)
    store.snapshots.recover()
    assert store.records.get(KEY) is not None


def test_records_of_processes_at_once_are_all_kept(store: Store) -> None:
    program = """
for n in range(100):
    with store.snapshots.begin() as active:
        active.commit()
    store.records.put(Digest.of(f"{sys.argv[2]} {n}".encode()), Record(active.id, ""))
"""
    processes = [start(store.root, program, name) for name in ("a", "b")]
    for process in processes:
        with process:
            process.communicate()
        assert process.returncode == 0
    for name in ("a", "b"):
        assert all(store.records.get(Digest.of(f"{name} {n}".encode())) for n in range(100))


def test_digest_of_an_unchanged_file_is_known_at_the_next_start(store: Store) -> None:
    store.files.put(1, 2, 3, 4, 5, DIGEST)
    store.files.flush()
    store.files.flush()
    with Store.open(store.root) as again:
        assert again.files.get(1, 2, 3, 4, 5) == DIGEST


def test_closing_the_store_writes_the_digests(store: Store) -> None:
    with Store.open(store.root) as other:
        other.files.put(1, 2, 3, 4, 5, DIGEST)
    assert store.files.get(1, 2, 3, 4, 5) == DIGEST


@pytest.mark.parametrize(
    "changed",
    [(9, 2, 3, 4, 5), (1, 9, 3, 4, 5), (1, 2, 9, 4, 5), (1, 2, 3, 9, 5), (1, 2, 3, 4, 9)],
    ids=["device", "inode", "size", "mtime", "ctime"],
)
def test_changed_file_is_not_known(changed: tuple[int, int, int, int, int], store: Store) -> None:
    store.files.put(1, 2, 3, 4, 5, DIGEST)
    store.files.flush()
    with Store.open(store.root) as again:
        assert again.files.get(*changed) is None
        again.files.put(*changed, OTHER)
        again.files.flush()
    with Store.open(store.root) as last:
        assert last.files.get(*changed) == OTHER


@pytest.mark.parametrize(
    "status",
    [(2**64 - 1, 2**64 - 2, 0, 1, 1), (1, 2, 3, 2**65, 4), (1, 2, 3, -(2**70), 4)],
    ids=["inode", "far-future", "far-past"],
)
def test_numbers_beyond_what_the_database_takes_do_no_harm(
    status: tuple[int, int, int, int, int], store: Store
) -> None:
    store.files.put(*status, DIGEST)
    store.files.put(1, 7, 3, 4, 5, DIGEST)
    store.files.flush()
    with Store.open(store.root) as again:
        assert again.files.get(*status) in (DIGEST, None)
        assert again.files.get(1, 7, 3, 4, 5) == DIGEST


def test_large_inode_is_remembered(store: Store) -> None:
    store.files.put(2**63, 2**64 - 2, 3, 4, 5, DIGEST)
    store.files.flush()
    with Store.open(store.root) as again:
        assert again.files.get(2**63, 2**64 - 2, 3, 4, 5) == DIGEST
