from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING

import pytest

from ocibuild.store import Store

if TYPE_CHECKING:
    from pathlib import Path


def test_trees_of_a_killed_process_are_removed_and_no_others(tmp_path: Path) -> None:
    root = os.fspath(tmp_path / "store")
    child = os.fork()
    if child == 0:
        with Store.open(root) as store:
            tree = store.trees.begin()
            os.makedirs(os.path.join(tree.path, "d/e"))
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with Store.open(root) as store:
        mine = store.trees.begin()
        assert len(os.listdir(tmp_path / "store/trees")) == 2
        store.trees.recover()
        assert os.listdir(tmp_path / "store/trees") == [os.path.basename(mine.path)]
        mine.remove()
        mine.remove()
        assert os.listdir(tmp_path / "store/trees") == []


def test_nothing_is_to_be_removed_where_there_never_was_a_tree(tmp_path: Path) -> None:
    with Store.open(os.fspath(tmp_path / "store")) as store:
        store.trees.recover()


def test_what_cannot_be_made_holds_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Store.open(os.fspath(tmp_path / "store")) as store:
        store.trees.begin().remove()  # its folder is there from now on
        with monkeypatch.context() as patched:
            patched.setattr(os, "mkdir", refuse)
            with pytest.raises(OSError, match="No space left"):
                store.trees.begin()
        tree = store.trees.begin()
        assert os.path.basename(tree.path) == "1"
        tree.remove()
