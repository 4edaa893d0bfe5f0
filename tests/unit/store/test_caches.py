from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import Interrupted
from ocibuild.graph import Sharing
from ocibuild.oci import Digest
from ocibuild.store import Cache
from tests.unit.store.processes import kill_when_ready, start, until_ready

if TYPE_CHECKING:
    from ocibuild.store import Store

CACHE = Cache("/pip", Digest.of(b"pip"))
PROGRAM = """
from ocibuild.graph import Sharing
cache = Cache("/pip", Digest.of(b"pip"))
"""
USE = PROGRAM + "with store.caches.using(cache, Sharing(sys.argv[2]), os.mkdir): ready()"
MAKE = (
    PROGRAM
    + """
def fill(path):
    os.mkdir(path)
    open(path + "/half", "w").close()
    ready()
with store.caches.using(cache, Sharing.SHARED, fill): pass
"""
)
ADD = (
    PROGRAM
    + """
def fill(path):
    os.mkdir(path)
    with open(path + "/count", "w") as file: file.write("0")
for _ in range(50):
    with store.caches.using(cache, Sharing.LOCKED, fill) as path:
        with open(path + "/count") as file: count = int(file.read())
        with open(path + "/count", "w") as file: file.write(str(count + 1))
"""
)


def _folders(store: Store) -> list[str]:
    return sorted(os.listdir(os.path.join(store.root, "caches")))


def _fail(path: str) -> None:
    Path(path).mkdir()
    raise KeyError(path)


def test_cache_is_filled_once_and_kept(store: Store) -> None:
    with store.caches.using(CACHE, Sharing.SHARED, os.mkdir) as path:
        (Path(path) / "file").touch()
    with store.caches.using(CACHE, Sharing.SHARED, _fail) as again:
        assert again == path
        assert os.listdir(path) == ["file"]
    assert Path(path).with_name("id").read_text() == "/pip"


def test_use_is_remembered(store: Store) -> None:
    with store.caches.using(CACHE, Sharing.SHARED, os.mkdir) as path:
        pass
    used = Path(path).with_name("id")
    os.utime(used, (1, 1))
    begun = time.time()
    with store.caches.using(CACHE, Sharing.SHARED, _fail):
        assert used.stat().st_mtime >= begun - 1


def test_cache_may_be_a_file(store: Store) -> None:
    def fill(path: str) -> None:
        Path(path).write_text("text")

    with store.caches.using(CACHE, Sharing.SHARED, fill) as path:
        assert Path(path).read_text() == "text"


def test_nothing_is_left_where_filling_fails(store: Store) -> None:
    with pytest.raises(KeyError), store.caches.using(CACHE, Sharing.SHARED, _fail):
        pass
    assert _folders(store) == []
    with store.caches.using(CACHE, Sharing.LOCKED, os.mkdir) as path:
        assert os.listdir(path) == []


# who has it, who asks for it: whether the second gets the same one
TOGETHER = {
    (Sharing.SHARED, Sharing.SHARED): True,
    (Sharing.SHARED, Sharing.PRIVATE): False,
    (Sharing.PRIVATE, Sharing.PRIVATE): False,
    (Sharing.PRIVATE, Sharing.SHARED): False,
    (Sharing.LOCKED, Sharing.SHARED): False,
    (Sharing.LOCKED, Sharing.PRIVATE): False,
}


@pytest.mark.parametrize(("sharings", "same"), TOGETHER.items(), ids=str)
def test_two_uses_at_once(sharings: tuple[Sharing, Sharing], same: bool, store: Store) -> None:
    first, second = sharings
    with (
        store.caches.using(CACHE, first, os.mkdir) as path,
        store.caches.using(CACHE, second, os.mkdir) as other,
    ):
        assert (path == other) == same


@pytest.mark.parametrize(("sharings", "same"), TOGETHER.items(), ids=str)
def test_two_processes_at_once(sharings: tuple[Sharing, Sharing], same: bool, store: Store) -> None:
    first, second = sharings
    with until_ready(store.root, USE, first), store.caches.using(CACHE, second, os.mkdir) as other:
        assert other.endswith("content")
        assert len(_folders(store)) == (1 if same else 2)


def test_copies_of_a_private_cache_are_used_again(store: Store) -> None:
    for _ in range(3):
        with ExitStack() as uses:
            for _ in range(4):
                uses.enter_context(store.caches.using(CACHE, Sharing.PRIVATE, os.mkdir))
    assert len(_folders(store)) == 4


@pytest.mark.parametrize("holder", list(Sharing))
def test_locked_waits_for_whoever_has_it(holder: Sharing, store: Store) -> None:
    got: list[str] = []

    def use() -> None:
        with store.caches.using(CACHE, Sharing.LOCKED, os.mkdir) as path:
            got.append(path)

    with store.caches.using(CACHE, holder, os.mkdir) as path:
        thread = threading.Thread(target=use)
        thread.start()
        time.sleep(0.2)
        assert got == []
    thread.join()
    assert got == [path]


def test_locked_waits_no_more_when_the_other_process_is_killed(store: Store) -> None:
    kill_when_ready(store.root, USE, Sharing.LOCKED)
    with store.caches.using(CACHE, Sharing.LOCKED, _fail) as path:
        assert os.path.isdir(path)


def test_waiting_can_be_given_up(store: Store) -> None:
    with store.caches.using(CACHE, Sharing.SHARED, os.mkdir):
        threading.Timer(0.2, store.locks.stop).start()
        with pytest.raises(Interrupted), store.caches.using(CACHE, Sharing.LOCKED, os.mkdir):
            pass


def test_processes_count_together(store: Store) -> None:
    """Each adds 50 to a number in a locked cache, which none must have made twice."""
    processes = [start(store.root, ADD) for _ in range(4)]
    for process in processes:
        with process:
            process.communicate(timeout=60)
        assert process.returncode == 0
    with store.caches.using(CACHE, Sharing.LOCKED, _fail) as path:
        assert (Path(path) / "count").read_text() == "200"


def test_half_of_a_cache_is_removed_at_the_next_start(store: Store) -> None:
    with until_ready(store.root, MAKE):
        (half,) = _folders(store)
        store.caches.recover()
        assert _folders(store) == [half]
    store.caches.recover()
    assert _folders(store) == []
    with store.caches.using(CACHE, Sharing.SHARED, os.mkdir) as path:
        assert os.listdir(path) == []


def test_recovery_leaves_caches_alone(store: Store) -> None:
    store.caches.recover()
    with store.caches.using(CACHE, Sharing.SHARED, os.mkdir):
        store.caches.recover()
    store.caches.recover()
    assert len(_folders(store)) == 1


def test_a_cache_whose_content_a_killed_step_had_moved_away_is_made_anew(store: Store) -> None:
    with store.caches.using(CACHE, Sharing.SHARED, os.mkdir) as path:
        os.rmdir(path)
        store.caches.recover()
        assert len(_folders(store)) == 1
    store.caches.recover()
    with store.caches.using(CACHE, Sharing.SHARED, os.mkdir) as path:
        assert os.listdir(path) == []
