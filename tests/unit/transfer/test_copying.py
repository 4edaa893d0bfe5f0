from __future__ import annotations

import threading
import time

import pytest

from ocibuild.errors import DigestMismatch, NotFound
from ocibuild.oci import Descriptor, Digest
from ocibuild.transfer import Selection, copy, make_plan
from tests.unit.transfer.memory import AMD64, ARM64, MemoryDestination, MemorySource


@pytest.fixture
def source() -> MemorySource:
    source = MemorySource()
    source.named = source.put_index(
        source.put_image(AMD64, b"shared", b"amd"), source.put_image(ARM64, b"shared", b"arm")
    )
    return source


def run(source: MemorySource, destination: MemoryDestination) -> dict[Digest, list[int]]:
    told: dict[Digest, list[int]] = {}

    def report(blob: Descriptor, done: int) -> None:
        told.setdefault(blob.digest, []).append(done)

    plan = make_plan(source, Selection(everything=True))
    source.opened.clear()
    copy(source, destination, plan, progress=report, abandon=lambda: None)
    return told


def test_blobs_come_before_manifests_and_the_name_last(source: MemorySource) -> None:
    destination = MemoryDestination()
    run(source, destination)
    assert [kind for kind, _ in destination.order] == ["blob"] * 5 + ["manifest"] * 2 + ["index"]
    assert destination.there == source.blobs
    assert destination.finished is not None
    assert destination.finished.digest == source.root().digest


def test_each_blob_is_read_once_and_told_of(source: MemorySource) -> None:
    told = run(source, MemoryDestination())
    assert len(source.opened) == len(set(source.opened)) == 5
    assert told == {digest: [len(source.blobs[digest])] for digest in source.opened}


def test_what_is_there_is_not_read(source: MemorySource) -> None:
    destination = MemoryDestination()
    destination.there[Digest.of(b"shared")] = b"shared"
    run(source, destination)
    assert Digest.of(b"shared") not in source.opened


@pytest.mark.parametrize("parallel", [1, 3])
def test_no_more_blobs_are_written_at_once_than_the_destination_takes(parallel: int) -> None:
    source = MemorySource()
    source.named = source.put_image(AMD64, *(b"%d" % number for number in range(12)))
    destination = MemoryDestination(parallel, pause=lambda: time.sleep(0.02))
    run(source, destination)
    assert destination.greatest == parallel


@pytest.mark.parametrize(
    "wrong", [b"shaRed", b"shared and more", b"sh", b""], ids=["other", "longer", "shorter", "empty"]
)
def test_a_wrong_blob_names_source_and_digest_and_there_is_no_manifest(source: MemorySource, wrong: bytes) -> None:
    digest = Digest.of(b"shared")
    source.blobs[digest] = wrong
    destination = MemoryDestination()
    with pytest.raises(DigestMismatch, match=f"^memory:source: {digest}: "):
        run(source, destination)
    assert {kind for kind, _ in destination.order} <= {"blob"}
    assert digest not in destination.there


def test_a_missing_blob_ends_the_copy(source: MemorySource) -> None:
    del source.blobs[Digest.of(b"arm")]
    destination = MemoryDestination()
    with pytest.raises(NotFound):
        run(source, destination)
    assert destination.finished is None


def test_the_first_error_ends_the_others(source: MemorySource) -> None:
    """Those that are under way end where they next tell how far they are; those that wait never begin."""
    source.named = source.put_image(AMD64, b"bad", *(b"%d" % number for number in range(50)))
    source.blobs[Digest.of(b"bad")] = b"BAD"
    destination = MemoryDestination(2, pause=lambda: time.sleep(0.01))
    with pytest.raises(DigestMismatch):
        run(source, destination)
    assert len(destination.order) < 10
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("transfer")]
