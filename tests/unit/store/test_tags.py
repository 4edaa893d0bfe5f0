from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import InvalidDocument, StoreError
from ocibuild.oci import Descriptor, Digest, Reference, mediatypes
from ocibuild.store import REF_NAME
from tests.unit.store.processes import kill_when_ready, start

if TYPE_CHECKING:
    from ocibuild.store import Store


def image(text: str) -> Descriptor:
    return Descriptor(mediatypes.OCI_MANIFEST, Digest.of(text.encode()), len(text))


ONE, TWO = image("one"), image("two")
APP, OTHER = Reference.parse("app"), Reference.parse("registry.example/other:2")


def names(store: Store) -> list[tuple[str | None, Digest]]:
    return [(entry.annotations.get(REF_NAME), entry.digest) for entry in store.tags.entries()]


def test_new_store_has_no_images(store: Store) -> None:
    assert store.tags.entries() == ()
    assert store.tags.get(APP) is None
    assert not store.tags.remove(APP)


def test_tag_is_an_entry_of_the_index_under_its_full_name(store: Store) -> None:
    store.tags.set(APP, ONE)
    index = json.loads(Path(store.root, "index.json").read_bytes())
    assert index == {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_INDEX,
        "manifests": [
            {
                "mediaType": mediatypes.OCI_MANIFEST,
                "digest": ONE.digest,
                "size": 3,
                "annotations": {REF_NAME: "docker.io/library/app:latest"},
            }
        ],
    }


def test_tag_gives_what_was_set(store: Store) -> None:
    store.tags.set(APP, replace(ONE, annotations={"kept": "yes"}))
    store.tags.set(OTHER, TWO)
    found = store.tags.get(APP)
    assert found is not None
    assert (found.digest, found.annotations["kept"]) == (ONE.digest, "yes")
    assert store.tags.get(Reference.parse("app:other")) is None


def test_same_tag_twice_changes_nothing(store: Store) -> None:
    store.tags.set(APP, ONE)
    before = Path(store.root, "index.json").stat()
    store.tags.set(APP, ONE)
    assert Path(store.root, "index.json").stat().st_ino == before.st_ino
    assert names(store) == [(str(APP), ONE.digest)]


def test_moved_tag_names_the_new_image_and_the_old_one_stays_without_a_name(store: Store) -> None:
    store.tags.set(APP, ONE)
    store.tags.set(APP, TWO)
    found = store.tags.get(APP)
    assert found is not None
    assert found.digest == TWO.digest
    assert names(store) == [(None, ONE.digest), (str(APP), TWO.digest)]


def test_moved_back_tag_leaves_one_entry_for_each_image(store: Store) -> None:
    for descriptor in (ONE, TWO, ONE):
        store.tags.set(APP, descriptor)
    assert names(store) == [(None, TWO.digest), (str(APP), ONE.digest)]


def test_image_with_two_tags_does_not_become_nameless_when_one_moves(store: Store) -> None:
    store.tags.set(APP, ONE)
    store.tags.set(OTHER, ONE)
    store.tags.set(APP, TWO)
    assert names(store) == [(str(OTHER), ONE.digest), (str(APP), TWO.digest)]


def test_tag_of_a_descriptor_from_another_tag_does_not_take_its_name(store: Store) -> None:
    store.tags.set(APP, ONE)
    tagged = store.tags.get(APP)
    assert tagged is not None
    store.tags.set(OTHER, tagged)
    assert names(store) == [(str(APP), ONE.digest), (str(OTHER), ONE.digest)]


def test_image_without_a_tag_is_kept_once(store: Store) -> None:
    store.tags.keep(ONE)
    store.tags.keep(ONE)
    store.tags.keep(TWO)
    assert names(store) == [(None, ONE.digest), (None, TWO.digest)]
    store.tags.set(APP, ONE)
    assert names(store) == [(None, TWO.digest), (str(APP), ONE.digest)]
    store.tags.keep(ONE)
    assert names(store) == [(None, TWO.digest), (str(APP), ONE.digest)]


def test_image_kept_from_a_tag_has_no_name(store: Store) -> None:
    store.tags.keep(replace(ONE, annotations={REF_NAME: str(APP)}))
    assert names(store) == [(None, ONE.digest)]


def test_removed_tag_is_gone_and_others_stay(store: Store) -> None:
    store.tags.set(APP, ONE)
    store.tags.set(OTHER, ONE)
    assert store.tags.remove(APP)
    assert names(store) == [(str(OTHER), ONE.digest)]


@pytest.mark.parametrize("content", [b"", b"{", b'{"schemaVersion":2,"layers":[]}'])
def test_damaged_index_is_an_error_of_ours(content: bytes, store: Store) -> None:
    Path(store.root, "index.json").write_bytes(content)
    with pytest.raises((InvalidDocument, StoreError)):
        store.tags.set(APP, ONE)
    assert Path(store.root, "index.json").read_bytes() == content


def test_tags_of_two_processes_at_once_are_all_kept(store: Store) -> None:
    program = (
        "for n in range(40):\n"
        "    image = store.blobs.put(b'%d' % n, mediatypes.OCI_MANIFEST)\n"
        "    store.tags.set(Reference.parse(f'app:{sys.argv[2]}-{n}'), image)"
    )
    processes = [start(store.root, program, name) for name in ("a", "b", "c")]
    for process in processes:
        with process:
            process.communicate()
        assert process.returncode == 0
    assert len(store.tags.entries()) == 120
    assert len(set(names(store))) == 120


def test_reader_sees_a_whole_index_at_every_moment(store: Store) -> None:
    store.tags.set(APP, ONE)
    program = (
        "one = store.tags.get(Reference.parse('app'));"
        "[store.tags.set(Reference.parse(f'app:{n % 7}'), one) or store.tags.remove(Reference.parse(f'app:{n % 7}'))"
        " for n in range(100)]"
    )
    with start(store.root, program) as process:
        while process.poll() is None:
            assert store.tags.get(APP) is not None
    assert process.returncode == 0


def test_process_killed_while_it_holds_the_lock_does_not_block_others(store: Store) -> None:
    kill_when_ready(store.root, "lock = store.locks.hold('index.json'); ready()")
    store.tags.set(APP, ONE)
    assert store.tags.get(APP) is not None
