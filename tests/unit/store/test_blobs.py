from __future__ import annotations

import hashlib
import os
import threading
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import DigestMismatch, NotInStore
from ocibuild.oci import Descriptor, Digest, mediatypes
from ocibuild.store import Store
from tests.unit.store.processes import kill_when_ready, until_ready

if TYPE_CHECKING:
    from ocibuild.store import BlobWriter, Follower

TYPE = mediatypes.OCI_LAYER
HELLO = Descriptor(TYPE, Digest.of(b"hello"), 5)


def ingest(store: Store) -> list[str]:
    return os.listdir(os.path.join(store.root, "ingest"))


def write(
    writer: BlobWriter,
    content: bytes,
    error: type[BaseException] | None = None,
    followers: list[Follower] | None = None,
) -> None:
    """Write a blob, with a follower where there is a list for it, and fail with ``error``."""
    with writer as blob:
        if followers is not None:
            followers.append(blob.follow())
        blob.write(content)
        if error is not None:
            raise error


def test_blob_lies_where_the_layout_has_it(store: Store) -> None:
    descriptor = store.blobs.put(b"hello", TYPE)
    assert descriptor == HELLO
    assert Path(store.root, "blobs", "sha256", HELLO.digest.encoded).read_bytes() == b"hello"
    assert store.blobs.has(HELLO.digest)
    assert store.blobs.size(HELLO.digest) == 5
    assert store.blobs.read(HELLO.digest) == b"hello"
    with store.blobs.open(HELLO.digest) as blob:
        assert blob.read() == b"hello"
    assert list(store.blobs) == [HELLO.digest]


def test_same_blob_twice_is_one(store: Store) -> None:
    store.blobs.put(b"hello", TYPE)
    before = os.stat(store.blobs.path(HELLO.digest))
    store.blobs.put(b"hello", TYPE)
    assert os.stat(store.blobs.path(HELLO.digest)).st_ino == before.st_ino
    with store.blobs.writer() as blob:
        blob.write(b"hello")
    assert list(store.blobs) == [HELLO.digest]
    assert ingest(store) == []


def test_missing_blob_is_named(store: Store) -> None:
    assert not store.blobs.has(HELLO.digest)
    for ask in (store.blobs.open, store.blobs.read, store.blobs.size):
        with pytest.raises(NotInStore, match=HELLO.digest):
            ask(HELLO.digest)


def test_sha512_has_its_own_folder(store: Store) -> None:
    digest = Digest.parse(f"sha512:{hashlib.sha512(b'hello').hexdigest()}")
    with store.blobs.writer(Descriptor(TYPE, digest, 5)) as blob:
        blob.write(b"hello")
        assert blob.digest == digest
    assert store.blobs.read(digest) == b"hello"
    assert list(store.blobs) == [digest]


def test_damaged_document_is_not_read(store: Store) -> None:
    store.blobs.put(b"hello", TYPE)
    Path(store.blobs.path(HELLO.digest)).write_bytes(b"hellO")
    with pytest.raises(DigestMismatch, match="damaged"):
        store.blobs.read(HELLO.digest)


def test_document_is_no_larger_than_its_limit(store: Store) -> None:
    store.blobs.put(b"hello", TYPE)
    assert store.blobs.read(HELLO.digest, limit=5) == b"hello"
    with pytest.raises(DigestMismatch, match="more than 4 bytes"):
        store.blobs.read(HELLO.digest, limit=4)


def test_small_document_takes_little_memory(store: Store) -> None:
    store.blobs.put(b"hello", TYPE)
    tracemalloc.start()
    store.blobs.read(HELLO.digest)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_writer_tells_size_digest_and_descriptor(store: Store) -> None:
    with store.blobs.writer() as blob:
        blob.write(b"he")
        assert (blob.size, blob.digest) == (2, Digest.of(b"he"))
        blob.write(memoryview(b"llo"))
        assert not store.blobs.has(HELLO.digest)
    assert blob.describe(TYPE) == HELLO
    assert store.blobs.has(HELLO.digest)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hell", "4 bytes where 5 should be"),
        (b"", "0 bytes where 5 should be"),
        (b"hellO", f"the content has the digest {Digest.of(b'hellO')}"),
        (b"hello!", "more than the 5 bytes it should have"),
    ],
    ids=["short", "empty", "other", "long"],
)
def test_other_bytes_than_expected_are_not_kept(content: bytes, message: str, store: Store) -> None:
    with pytest.raises(DigestMismatch, match=message), store.blobs.writer(HELLO) as blob:
        blob.write(content)
    assert list(store.blobs) == []
    assert ingest(store) == []


def test_too_many_bytes_stop_at_once(store: Store) -> None:
    with store.blobs.writer(HELLO) as blob:
        blob.write(b"hel")
        with pytest.raises(DigestMismatch):
            blob.write(b"lo!")
        assert blob.size == 3
        blob.write(b"lo")
    assert store.blobs.has(HELLO.digest)


def test_exception_discards_the_blob(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(store.blobs.writer(HELLO), b"hello", KeyboardInterrupt)
    assert list(store.blobs) == []
    assert ingest(store) == []


def read_all(follower: Follower, into: list[bytes | BaseException]) -> None:
    try:
        with follower:
            into.append(b"".join(iter(lambda: follower.read(3), b"")))
    except DigestMismatch as error:
        into.append(error)


def test_followers_read_what_is_written_to_its_end(store: Store) -> None:
    content = os.urandom(1 << 16)
    results: list[bytes | BaseException] = []
    with store.blobs.writer() as blob:
        threads = [threading.Thread(target=read_all, args=(blob.follow(), results)) for _ in range(3)]
        blob.write(content[:1000])
        for thread in threads:
            thread.start()
        for at in range(1000, len(content), 1000):
            blob.write(content[at : at + 1000])
    for thread in threads:
        thread.join()
    assert results == [content] * 3


def test_follower_gets_what_is_there_before_the_end(store: Store) -> None:
    with store.blobs.writer() as blob, blob.follow() as follower:
        blob.write(b"hello")
        assert follower.read() == b"hello"
        blob.write(b" world")
        assert follower.read(3) == b" wo"
        assert follower.read() == b"rld"


@pytest.mark.parametrize("content", [b"hellO", b"hell"], ids=["digest", "size"])
def test_follower_learns_that_the_blob_is_not_what_was_expected(content: bytes, store: Store) -> None:
    followers: list[Follower] = []
    with pytest.raises(DigestMismatch):
        write(store.blobs.writer(HELLO), content, followers=followers)
    results: list[bytes | BaseException] = []
    read_all(followers[0], results)
    assert isinstance(results[0], DigestMismatch)


def test_follower_learns_that_the_writer_gave_up(store: Store) -> None:
    results: list[bytes | BaseException] = []
    followers: list[Follower] = []
    with pytest.raises(ZeroDivisionError):
        write(store.blobs.writer(), b"hello", ZeroDivisionError, followers)
    read_all(followers[0], results)
    assert isinstance(results[0], DigestMismatch)


def test_waiting_follower_learns_that_the_writer_gave_up(store: Store) -> None:
    results: list[bytes | BaseException] = []
    writer = store.blobs.writer()
    with pytest.raises(ZeroDivisionError), writer as blob:
        raise_while_followed(blob, results)
    for thread in threading.enumerate():
        if thread.name == "follower":
            thread.join()
    assert isinstance(results[0], DigestMismatch)


def raise_while_followed(blob: BlobWriter, results: list[bytes | BaseException]) -> None:
    threading.Thread(target=read_all, args=(blob.follow(), results), name="follower").start()
    time.sleep(0.05)
    raise ZeroDivisionError


def test_blob_that_is_complete_can_still_be_followed(store: Store) -> None:
    with store.blobs.writer() as blob:
        blob.write(b"hello")
    with open(os.devnull, "rb"), blob.follow() as follower:  # which takes over the number of the descriptor
        assert follower.read() == b"hello"
        assert follower.read() == b""


def test_blob_that_failed_cannot_be_followed(store: Store) -> None:
    writer = store.blobs.writer(HELLO)
    with pytest.raises(DigestMismatch):
        write(writer, b"hell")
    with pytest.raises(DigestMismatch, match="not completed"):
        writer.follow()


WRITE_HALF = "blob = store.blobs.writer().__enter__(); blob.write(bytes(1 << 20)); ready()"


def test_blob_of_a_killed_writer_is_gone_at_the_next_start(store: Store) -> None:
    kill_when_ready(store.root, WRITE_HALF)
    assert len(ingest(store)) == 1
    with Store.open(store.root) as again:
        assert ingest(again) == []
        assert list(again.blobs) == []


def test_blob_of_a_living_writer_stays(store: Store) -> None:
    program = "with store.blobs.writer() as blob: blob.write(b'hello'), ready()\nready()"
    with until_ready(store.root, program) as process:
        with Store.open(store.root) as again:
            assert len(ingest(again)) == 1
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
    assert store.blobs.read(HELLO.digest) == b"hello"


def test_writer_survives_others_that_clean_up_as_it_begins(store: Store) -> None:
    done = threading.Event()

    def clean_up() -> None:
        while not done.is_set():
            store.blobs.recover()

    threads = [threading.Thread(target=clean_up) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(300):
            store.blobs.put(b"%d" % number, TYPE)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert len(list(store.blobs)) == 300


def test_files_of_others_among_the_blobs_are_no_blobs(store: Store) -> None:
    store.blobs.put(b"hello", TYPE)
    Path(store.root, "blobs", "sha256", ".stray").write_bytes(b"")
    Path(store.root, "blobs", "README").write_bytes(b"")
    assert list(store.blobs) == [HELLO.digest]
