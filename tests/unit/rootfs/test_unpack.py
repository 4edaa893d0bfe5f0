from __future__ import annotations

import io
import os
import tarfile
import time
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import DigestMismatch, InvalidLayer
from ocibuild.layer.owners import RealOwners
from ocibuild.oci import DiffID, Digest, Limits, mediatypes
from ocibuild.rootfs.unpack import unpack
from ocibuild.store import Layer, Store
from tests.support.lab import needs_root

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = needs_root


def _layer(store: Store, **files: str) -> Layer:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    data = output.getvalue()
    return Layer(DiffID(Digest.of(data)), store.blobs.put(data, mediatypes.OCI_LAYER))


def _unpack(
    store: Store,
    layers: Sequence[Layer],
    opened: list[str],
    pause: float = 0,
    limits: Limits | None = None,
    *,
    outline: bool = False,
) -> list[int]:
    def open_blob(layer: Layer) -> io.BytesIO:
        opened.append(layer.diff_id)
        time.sleep(pause)
        return io.BytesIO(store.blobs.read(layer.descriptor.digest))

    owners = RealOwners.of_this_process()
    limits = limits or Limits()
    found = unpack(
        store,
        layers,
        open_blob,
        ownership=owners,
        progress=lambda _layer, _more: None,
        limits=limits,
        outline=outline,
    )
    return [snapshot.id for snapshot in found]


def test_layers_are_unpacked_once_and_oldest_first(tmp_path: Path) -> None:
    with Store.open(str(tmp_path)) as store:
        layers = [_layer(store, a="1"), _layer(store, b="2"), _layer(store, c="3")]
        assert store.snapshots.by_layers(layers) is None
        opened: list[str] = []
        numbers = _unpack(store, layers, opened)
        assert sorted(opened) == sorted(layer.diff_id for layer in layers)
        found = store.snapshots.by_layers(layers)
        assert found is not None
        assert [snapshot.id for snapshot in found] == numbers
        assert [os.listdir(snapshot.path) for snapshot in found] == [["a"], ["b"], ["c"]]
        again: list[str] = []
        assert _unpack(store, layers, again) == numbers
        assert again == []


def test_an_outline_has_all_names_and_no_content_and_is_never_taken_for_the_files(tmp_path: Path) -> None:
    with Store.open(str(tmp_path)) as store:
        layers = [_layer(store, a="1", b="2"), _layer(store, **{"b": "3", "deep/c": "4"})]
        outlines = _unpack(store, layers, [], outline=True)
        assert store.snapshots.by_layers(layers) is None
        found = store.snapshots.by_layers(layers, outline=True)
        assert found is not None
        assert [snapshot.id for snapshot in found] == outlines
        paths = [path for snapshot in found for path in Path(snapshot.path).rglob("*") if path.is_file()]
        assert sorted(path.name for path in paths) == ["a", "b", "b", "c"]
        assert all(path.stat().st_size == 0 for path in paths)
        assert set(_unpack(store, layers, [])).isdisjoint(outlines)
        store.snapshots.owners = None  # who only looks must not find an outline either
        whole = store.snapshots.by_layers(layers)
        assert whole is not None
        assert Path(whole[0].path, "a").read_text() == "1"


def test_layer_that_is_not_what_it_should_be_leaves_those_below(tmp_path: Path) -> None:
    with Store.open(str(tmp_path)) as store:
        good, other = _layer(store, a="1"), _layer(store, b="2")
        bad = Layer(good.diff_id, other.descriptor)
        with pytest.raises(DigestMismatch):
            _unpack(store, [good, bad], [])
        assert store.snapshots.by_layers([good, bad]) is None
        assert len(_unpack(store, [good, other], [])) == 2
        assert len(os.listdir(tmp_path / "snapshots")) == 2


def test_layers_of_one_image_share_what_it_may_take(tmp_path: Path) -> None:
    with Store.open(str(tmp_path)) as store:
        layers = [_layer(store, **{name: "x" * 9000}) for name in "abc"]
        with pytest.raises(InvalidLayer, match=r"sha256:[0-9a-f]{64}: the image has more than 50000 bytes"):
            _unpack(store, layers, [], limits=Limits(total=50_000))
        assert store.snapshots.by_layers(layers) is None
        assert len(_unpack(store, layers, [], limits=Limits(total=70_000))) == 3


def test_two_processes_share_what_their_images_share(tmp_path: Path) -> None:
    with Store.open(str(tmp_path)) as store:
        shared = [_layer(store, a="1"), _layer(store, b="2")]
        stacks = [[*shared, _layer(store, c="3")], [*shared, _layer(store, d="4")], shared]
    results = []
    children = []
    for stack in stacks:
        ours, theirs = Pipe(duplex=False)
        child = os.fork()
        if child == 0:
            try:
                with Store.open(str(tmp_path)) as store:
                    opened: list[str] = []
                    theirs.send((_unpack(store, stack, opened, pause=0.2), opened))
            finally:
                os._exit(0)
        theirs.close()
        children.append(child)
        results.append(ours)
    answers = [ours.recv() for ours in results]
    for child in children:
        os.waitpid(child, 0)
    assert len({tuple(numbers[:2]) for numbers, _ in answers}) == 1
    opened_by_all = [diff_id for _, opened in answers for diff_id in opened]
    assert len(opened_by_all) == len(set(opened_by_all)) == 4
