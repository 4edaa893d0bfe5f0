from __future__ import annotations

import errno
import json
import os
import random
import sqlite3
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from ocibuild.errors import NoSpace, StoreError, StoreTooNew
from ocibuild.oci import Digest, Reference, mediatypes
from ocibuild.store import Record, Store, translate_errors
from ocibuild.store.database import VERSION, Database
from tests.support.privileges import bound_by_permissions
from tests.unit.store.processes import kill_when_ready, start

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")


def test_new_store_is_an_image_layout_for_its_owner_alone(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "store"
    with Store.open(str(root)) as store:
        assert store.root == str(root)
    assert json.loads((root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert (root / "blobs" / "sha256").is_dir()


def test_store_opens_again_with_all_that_it_holds(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    with Store.open(root) as store:
        image = store.blobs.put(b"{}", mediatypes.OCI_MANIFEST)
        store.tags.set(Reference.parse("app"), image)
    with Store.open(root) as store:
        assert store.tags.get(Reference.parse("app")) is not None
        assert store.blobs.read(image.digest) == b"{}"


def test_relative_root_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.open("store") as store:
        monkeypatch.chdir("/")
        store.blobs.put(b"hello", mediatypes.OCI_LAYER)
    assert (tmp_path / "store" / "blobs" / "sha256" / Digest.of(b"hello").encoded).exists()


def test_layout_of_another_tool_becomes_a_store(tmp_path: Path) -> None:
    root = tmp_path / "layout"
    (root / "blobs").mkdir(parents=True)
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (root / "index.json").write_text('{"schemaVersion": 2, "manifests": []}')
    with Store.open(str(root)) as store:
        store.tags.keep(store.blobs.put(b"{}", mediatypes.OCI_MANIFEST))
        with store.snapshots.begin() as active:
            active.commit()


def test_store_that_was_half_made_is_completed(tmp_path: Path) -> None:
    root = tmp_path / "store"
    (root / "blobs").mkdir(parents=True)
    (root / "oci-layout.new").write_text("{")
    with Store.open(str(root)) as store:
        store.blobs.put(b"hello", mediatypes.OCI_LAYER)
    assert json.loads((root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_store_of_a_newer_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    Store.open(root).close()
    path = os.path.join(root, "ocibuild.db")
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    known = f"the store has version 99, and this ocibuild knows {VERSION} at most"
    with pytest.raises(StoreTooNew, match=known) as caught:
        Store.open(root)
    assert "--root" in str(caught.value)
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA user_version").fetchone() == (99,)
    database.close()


def test_damaged_database_is_named_with_what_to_do(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    Store.open(root).close()
    Path(root, "ocibuild.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"ocibuild.db: file is not a database \(remove this file"):
        Store.open(root)


def test_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in ("file", "file/below"):
        with pytest.raises(StoreError, match=root):
            Store.open(str(tmp_path / root))


def test_root_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with bound_by_permissions(), pytest.raises(StoreError, match="Permission denied"):
        Store.open(str(tmp_path / "closed" / "store"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_of_the_store(number: int) -> None:
    with pytest.raises(NoSpace, match="/root/of/store"), translate_errors("/root/of/store"):
        raise OSError(number, os.strerror(number))


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(IsADirectoryError), translate_errors("/"):
        raise OSError(errno.EISDIR, "x")


def test_many_processes_may_make_one_store_at_once(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    program = """
digest = store.blobs.put(b"the same", mediatypes.OCI_LAYER).digest
with store.snapshots.begin() as active:
    active.commit()
store.records.put(Digest.of(sys.argv[2].encode()), Record(active.id, ""))
store.tags.set(Reference.parse("app:" + sys.argv[2]), store.blobs.put(sys.argv[2].encode(), mediatypes.OCI_MANIFEST))
"""
    processes = [start(root, program, str(number)) for number in range(8)]
    for process in processes:
        with process:
            process.communicate()
        assert process.returncode == 0
    with Store.open(root) as store:
        assert len(store.tags.entries()) == 8
        assert all(store.records.get(Digest.of(str(number).encode())) for number in range(8))


def test_database_may_be_made_by_many_at_the_same_moment(tmp_path: Path) -> None:
    """SQLite refuses at once, and does not wait, where two put one file in WAL mode."""
    program = """
for turn in range(60):
    at = int(sys.stdin.readline())
    while time.monotonic_ns() < at:
        pass
    Store.open(f"{sys.argv[1]}{turn}").close()
    print(turn, flush=True)
"""
    processes = [start(str(tmp_path / "store"), program) for _ in range(8)]
    for turn in range(60):
        at = time.monotonic_ns() + 2_000_000
        for process in processes:
            assert process.stdin is not None
            print(at, file=process.stdin, flush=True)
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == f"{turn}\n"
    for process in processes:
        with process:
            process.communicate()


def test_log_of_a_database_that_was_removed_is_not_taken_for_that_of_the_new_one(tmp_path: Path) -> None:
    root = tmp_path / "store"
    kill_when_ready(str(root), "store.origins.add(Digest.of(b'layer'), Reference.parse('r.example/app')); ready()")
    assert (root / "ocibuild.db-wal").stat().st_size > 0
    (root / "ocibuild.db").unlink()
    (root / "ocibuild.db.new-wal").write_bytes((root / "ocibuild.db-wal").read_bytes())  # of who was killed making one
    with Store.open(str(root)) as store:
        assert store.origins.repositories(Digest.of(b"layer"), "r.example") == ()
        store.origins.add(Digest.of(b"layer"), Reference.parse("r.example/other"))
    with closing(sqlite3.connect(root / "ocibuild.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


WORK = """
print("ready", flush=True)
previous = None
for n in range(1_000_000):
    data = os.urandom(1 << 16)
    layer = store.blobs.put(data, mediatypes.OCI_LAYER)
    with store.snapshots.begin() as active:
        os.makedirs(active.upper + "/a/b/c")
        open(active.upper + "/a/b/c/file", "wb").write(data)
        snapshot = active.commit(chain_id=ChainID(layer.digest), layer=Layer(DiffID(layer.digest), layer))
    store.records.put(layer.digest, Record(snapshot.id, "now"))
    store.tags.set(Reference.parse("app"), store.blobs.put(data[:99], mediatypes.OCI_MANIFEST))
    store.files.put(1, n, 3, 4, 5, layer.digest)
    store.files.flush()
"""


def test_store_is_sound_after_a_kill_at_any_moment(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    pause = random.Random(1)
    for _ in range(12):
        with start(root, WORK) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(pause.uniform(0, 0.06))
            process.kill()
        with Store.open(root) as store:
            store.snapshots.recover()
            store.snapshots.sweep()
            check(store)
    with Store.open(root) as store:
        assert store.tags.get(Reference.parse("app")) is not None


LAYOUT = {
    *("oci-layout", "index.json", "index.json.new", "blobs", "ingest", "snapshots", "scratch", "locks"),
    *("ocibuild.db", "ocibuild.db-wal", "ocibuild.db-shm"),
}


def check(store: Store) -> None:
    """Every blob has its digest, every snapshot its tree, every record its snapshot, and nothing else is there."""
    digests = list(store.blobs)
    for digest in digests:
        store.blobs.read(digest)
    for entry in store.tags.entries():
        assert store.blobs.has(entry.digest)
    assert os.listdir(os.path.join(store.root, "ingest")) == []
    assert not os.path.exists(scratch := os.path.join(store.root, "scratch")) or os.listdir(scratch) == []
    assert set(os.listdir(store.root)) <= LAYOUT
    database = sqlite3.connect(os.path.join(store.root, "ocibuild.db"))
    snapshots = dict(database.execute("SELECT id, diff_id FROM snapshots WHERE committed = 1"))
    assert database.execute("SELECT count(*) FROM snapshots WHERE committed = 0").fetchone() == (0,)
    assert sorted(os.listdir(os.path.join(store.root, "snapshots"))) == sorted(map(str, snapshots))
    for number, diff_id in snapshots.items():
        content = Path(store.snapshots.path(number), "fs/a/b/c/file").read_bytes()
        assert Digest.of(content) == diff_id
    assert {number for (number,) in database.execute("SELECT snapshot FROM records")} <= set(snapshots)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


FULL = """
import os, sys
from ocibuild.errors import NoSpace
from ocibuild.oci import *
from ocibuild.store import *

root = sys.argv[1]
with Store.open(root) as store:
    kept = store.blobs.put(b"kept", mediatypes.OCI_MANIFEST)
    store.tags.set(Reference.parse("app"), kept)
    def refused(work):
        try:
            with translate_errors(root):
                work()
        except NoSpace as error:
            assert root in str(error), error
            return True
        return False
    def blob():
        with store.blobs.writer() as writer:
            while True:
                writer.write(os.urandom(1 << 16))
    assert refused(blob)
    assert os.listdir(root + "/ingest") == []
    filler = os.open(root + "/filler", os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(filler, bytes(4096)):
            pass
    except OSError:
        os.close(filler)
    def rows():
        for n in range(3000):
            store.files.put(1, n, 3, 4, 5, kept.digest)
        store.files.flush()
    assert refused(rows)
    assert refused(lambda: store.tags.set(Reference.parse("other"), kept))
    assert store.tags.get(Reference.parse("app")).digest == kept.digest
    os.unlink(root + "/filler")
    store.tags.set(Reference.parse("other"), kept)
    with store.snapshots.begin() as active:
        active.commit()
    store.files.flush()
print("done")
"""


@as_root
def test_full_device_is_said_and_loses_nothing(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=4m none "$1" && exec "$2" -c "$3" "$1/store"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), sys.executable, FULL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_failed_transaction_leaves_the_database_usable(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "store")) as store:
        with pytest.raises(StoreError):
            store.records.put(Digest.of(b"key"), Record(12345, "no such snapshot"))
        with store.snapshots.begin() as active:
            active.commit()
        store.records.put(Digest.of(b"key"), Record(active.id, ""))
        assert store.records.get(Digest.of(b"key")) is not None


def _take_back_to_version_2(database: sqlite3.Connection) -> None:
    for table, column in (("snapshots", "owners"), ("snapshots", "size"), ("records", "label")):
        database.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    database.execute("DROP TABLE leases")
    database.execute("PRAGMA user_version = 2")


def test_store_of_version_2_keeps_its_snapshots(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    with Store.open(root) as store, store.snapshots.begin() as active:
        number = active.commit().id
    database = sqlite3.connect(os.path.join(root, "ocibuild.db"))
    _take_back_to_version_2(database)
    database.close()
    with Store.open(root) as store:
        store.snapshots.owners = "real"
        assert store.snapshots.by_id(number) is not None


def test_builds_that_bring_one_store_up_to_date_at_once_do_it_once(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    with Store.open(root):
        pass
    path = os.path.join(root, "ocibuild.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        _take_back_to_version_2(database)
        database.execute("BEGIN IMMEDIATE")  # so that all have looked before any can change it
        with ThreadPoolExecutor(4) as pool:
            opened = [pool.submit(Database, path) for _ in range(4)]
            time.sleep(0.5)
            database.execute("ROLLBACK")
        for one in opened:
            one.result().close()
        assert database.execute("PRAGMA user_version").fetchone() == (VERSION,)
