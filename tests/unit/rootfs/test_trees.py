from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocibuild.layer.materialise import materialise
from ocibuild.rootfs import trees
from ocibuild.rootfs.trees import TreePool
from ocibuild.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.store import Snapshot


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(os.fspath(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def pool(store: Store) -> Iterator[TreePool]:
    made = TreePool(store.trees)
    yield made
    made.close()
    assert os.listdir(os.path.join(store.root, "trees")) == []


def snapshot(store: Store, name: str) -> Snapshot:
    with store.snapshots.begin() as active:
        Path(active.upper, name).write_text(name)
        return active.commit()


def test_a_tree_moves_on_with_what_is_written(store: Store, pool: TreePool) -> None:
    stack, top = [snapshot(store, "a")], snapshot(store, "b")
    with pool.taken(stack, top.id) as tree:
        Path(tree.path, "b").write_text("moved on")
    with pool.shared([*stack, top]) as again:
        assert again is tree
        assert Path(again.path, "b").read_text() == "moved on"
    with pool.shared(stack) as other:
        assert other.path != tree.path
        assert os.listdir(other.path) == ["a"]


def test_readers_share_a_tree_and_a_writer_has_its_own(store: Store, pool: TreePool) -> None:
    stack = [snapshot(store, "a")]
    with pool.shared(stack) as one, pool.shared(stack) as two, pool.taken(stack, 99) as writers:
        assert one is two
        assert writers is not one
        with pool.shared(stack) as three:
            assert three is one


def test_a_tree_is_brought_up_to_what_it_lacks(store: Store, pool: TreePool) -> None:
    stack = [snapshot(store, name) for name in "abc"]
    with pool.shared(stack[:1]) as lower:
        pass
    with pool.taken(stack, 99) as tree:
        assert tree is lower
        assert sorted(os.listdir(tree.path)) == ["a", "b", "c"]


def test_a_tree_in_which_something_failed_is_gone(store: Store, pool: TreePool) -> None:
    stack = [snapshot(store, "a")]
    with pytest.raises(KeyError), pool.taken(stack, 99) as tree:
        raise KeyError
    assert not os.path.exists(tree.path)
    with pool.taken(stack, None) as unwanted:
        pass
    assert not os.path.exists(unwanted.path)


def test_several_that_want_one_tree_wait_for_the_first(
    store: Store, pool: TreePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, begun, made = [snapshot(store, "a")], threading.Event(), []

    def slowly(snapshots: list[str], tree: str) -> None:
        made.append(tree)
        begun.wait(0.3)
        materialise(snapshots, tree)

    monkeypatch.setattr(trees, "materialise", slowly)
    found: list[list[str]] = []

    def read() -> None:
        with pool.shared(stack) as tree:
            found.append(os.listdir(tree.path))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    begun.set()
    for thread in threads:
        thread.join()
    assert found == [["a"]] * 4
    assert len(made) == 1


def test_one_that_cannot_be_made_is_tried_again_by_who_waited(
    store: Store, pool: TreePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(snapshots: list[str], tree: str) -> None:
        raise PermissionError(1, "refused")

    stack = [snapshot(store, "a")]
    with monkeypatch.context() as patch:
        patch.setattr(trees, "materialise", refuse)
        with pytest.raises(PermissionError), pool.shared(stack):
            pass
    with pool.shared(stack) as tree:
        assert os.listdir(tree.path) == ["a"]
