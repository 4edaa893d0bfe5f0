from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import Interrupted
from tests.unit.store.processes import start, until_ready

if TYPE_CHECKING:
    from pathlib import Path

    from ocibuild.store import Store

HOLD = "lock = store.locks.hold('a'); ready()"


def test_lock_is_held_by_one(store: Store) -> None:
    lock = store.locks.try_hold("a")
    assert lock is not None
    assert store.locks.try_hold("a") is None
    other = store.locks.try_hold("b")
    assert other is not None
    lock.close()
    lock.close()
    again = store.locks.try_hold("a")
    assert again is not None
    again.close()
    assert store.locks.try_hold("b") is None
    other.close()


def test_closing_another_lock_does_not_let_go(store: Store) -> None:
    with store.locks.holding("a"):
        with store.locks.holding("b"):
            pass
        assert store.locks.try_hold("a") is None


def test_exception_lets_go(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.locks.holding("a"):
        raise ZeroDivisionError
    lock = store.locks.try_hold("a")
    assert lock is not None
    lock.close()


def test_lock_holds_between_processes_and_dies_with_its_owner(store: Store) -> None:
    with until_ready(store.root, HOLD):
        assert store.locks.try_hold("a") is None
    lock = store.locks.try_hold("a")
    assert lock is not None
    lock.close()


def test_waiting_ends_when_the_owner_is_killed(store: Store) -> None:
    taken = threading.Event()

    def wait() -> None:
        with store.locks.holding("a"):
            taken.set()

    waiter = threading.Thread(target=wait)
    with until_ready(store.root, HOLD):
        waiter.start()
        assert not taken.wait(0.1)
    waiter.join(10)
    assert taken.is_set()


def test_threads_take_turns(store: Store) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(50):
            with store.locks.holding("a"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


def test_processes_take_turns(store: Store, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    program = """
for _ in range(100):
    with store.locks.holding("a"):
        with open(sys.argv[2]) as file:
            value = int(file.read())
        with open(sys.argv[2], "w") as file:
            file.write(str(value + 1))
"""
    processes = [start(store.root, program, str(counter)) for _ in range(3)]
    for process in processes:
        with process:
            process.communicate()
        assert process.returncode == 0
    assert counter.read_text() == "300"


def test_waiting_can_be_given_up(store: Store) -> None:
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            store.locks.hold("mine")
        except Interrupted as error:
            failures.append(error)

    with store.locks.holding("mine"):
        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.05)
        assert waiter.is_alive()
        store.locks.stop()
        waiter.join(10)
    assert len(failures) == 1
    store.locks.resume()
    store.locks.hold("mine").close()
