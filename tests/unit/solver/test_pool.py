from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ocibuild.solver.pool import Pool, Task, Withdrawn

if TYPE_CHECKING:
    from collections.abc import Callable

_TIMEOUT = 10


def nothing() -> None: ...


def test_a_task_begins_after_those_that_it_waits_for() -> None:
    done: list[str] = []

    def slow() -> None:
        time.sleep(0.02)
        done.append("first")

    first = Task(slow)
    second = Task(lambda: done.append("second"))
    both = Task(lambda: done.append("both"), [first, second])
    last = Task(lambda: done.append("last"), [both])
    Pool().run([last, both, second, first], jobs=4, stop=nothing)
    assert sorted(done[:2]) == ["first", "second"]
    assert done[2:] == ["both", "last"]


def test_a_lower_rank_goes_first_and_then_the_order_given() -> None:
    done: list[str] = []

    def noting(name: str) -> Callable[[], None]:
        return lambda: done.append(name)

    tasks = [Task(noting("pack a"), rank=1), Task(noting("b")), Task(noting("pack c"), rank=1), Task(noting("d"))]
    Pool().run(tasks, jobs=1, stop=nothing)
    assert done == ["b", "d", "pack a", "pack c"]


def test_jobs_bound_how_many_run_at_once() -> None:
    together = threading.Barrier(2, timeout=_TIMEOUT)
    running, most, lock = [0], [0], threading.Lock()

    def work() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        together.wait()
        with lock:
            running[0] -= 1

    Pool().run([Task(work) for _ in range(6)], jobs=2, stop=nothing)
    assert most == [2]


def test_the_first_failure_stops_the_others_and_is_raised() -> None:
    stopped = threading.Event()
    begun = threading.Barrier(2, timeout=_TIMEOUT)
    after: list[str] = []
    stops: list[str] = []

    def fail() -> None:
        begun.wait()
        raise ValueError("the first")

    def wait() -> None:
        begun.wait()
        assert stopped.wait(_TIMEOUT)
        raise RuntimeError("because it was stopped")

    def stop() -> None:
        stops.append("stop")
        stopped.set()

    failing = Task(fail)
    tasks = [failing, Task(wait), Task(lambda: after.append("follower"), [failing]), Task(lambda: after.append("x"))]
    with pytest.raises(ValueError, match="the first"):
        Pool().run(tasks, jobs=2, stop=stop)
    assert stops == ["stop"]
    assert after == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("step-")]


def test_an_interrupt_stops_what_runs_and_is_raised_when_it_has_ended() -> None:
    """It comes while threads are still being started, or later: here it is mostly the first."""
    stopped = threading.Event()
    ended: list[str] = []

    def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped.wait(_TIMEOUT)
        ended.append("ended")

    with pytest.raises(KeyboardInterrupt):
        Pool().run([Task(work), Task(lambda: ended.append("never"))], jobs=1, stop=stopped.set)
    assert ended == ["ended"]


def test_what_a_failed_task_wants_done_is_done_by_the_main_thread_when_all_others_have_ended() -> None:
    stopped = threading.Event()
    begun = threading.Barrier(3, timeout=_TIMEOUT)
    done: list[str] = []
    pool = Pool()

    def fail() -> None:
        begun.wait()
        error = ValueError("the failure")
        pool.alone(error, lambda: done.append(f"act in {threading.current_thread().name}"))
        done.append("after the act")
        raise error

    def wait() -> None:
        begun.wait()
        assert stopped.wait(_TIMEOUT)
        done.append("ended")

    tasks = [Task(fail), Task(wait), Task(wait), Task(lambda: done.append("never"), rank=1)]
    with pytest.raises(ValueError, match="the failure"):
        pool.run(tasks, jobs=3, stop=stopped.set)
    assert done == ["ended", "ended", "act in MainThread", "after the act"]


def test_what_the_second_task_that_fails_wants_done_is_not() -> None:
    stopped = threading.Event()
    pool = Pool()

    def fail() -> None:
        raise ValueError("the first")

    def fail_later() -> None:
        assert stopped.wait(_TIMEOUT)
        pool.alone(ValueError("the second"), lambda: pytest.fail("it was done"))
        raise ValueError("the second")

    with pytest.raises(ValueError, match="the first"):
        pool.run([Task(fail), Task(fail_later)], jobs=2, stop=stopped.set)


def test_an_interrupt_lets_a_task_go_on_that_waits_for_what_it_wants_done() -> None:
    ended: list[str] = []
    pool = Pool()

    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(_TIMEOUT)

    def fail() -> None:
        pool.alone(ValueError("the failure"), interrupt)
        ended.append("ended")
        raise ValueError("the failure")

    with pytest.raises(KeyboardInterrupt):
        pool.run([Task(fail)], jobs=1, stop=nothing)
    assert ended == ["ended"]


def test_nothing_to_do_is_done_at_once() -> None:
    Pool().run([], jobs=4, stop=nothing)


def test_a_chain_of_thousands_runs_in_order() -> None:
    done: list[int] = []
    tasks: list[Task] = []
    for number in range(3000):
        tasks.append(Task(lambda number=number: done.append(number), tasks[-1:]))  # type: ignore[misc]
    Pool().run(tasks, jobs=3, stop=nothing)
    assert done == list(range(3000))


def test_what_comes_after_a_withdrawn_task_is_left_out_and_the_rest_is_done() -> None:
    done: list[str] = []

    def withdraw() -> None:
        raise Withdrawn

    one, two = Task(withdraw), Task(withdraw)
    good = Task(lambda: done.append("good"))
    after_both = Task(lambda: done.append("after both"), [one, two])
    after_one = Task(lambda: done.append("after one"), [one, good])
    last = Task(lambda: done.append("last"), [after_both, after_one])
    other = Task(lambda: done.append("other"), [good])
    Pool().run([one, two, good, after_both, after_one, last, other], jobs=3, stop=nothing)
    assert done == ["good", "other"]
