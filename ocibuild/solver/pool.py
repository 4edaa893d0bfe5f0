"""The only pool of threads of a build: runs tasks once what they wait for is done, and stops at the first failure."""

from __future__ import annotations

import heapq
import threading
from dataclasses import field
from typing import TYPE_CHECKING

from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SIGNAL_SECONDS = 0.2  # the longest that the main thread sleeps without a look at its signals


class Withdrawn(Exception):
    """A task cannot give what those after it wait for: they are left out, and all others go on."""


@dataclass(eq=False, slots=True)
class Task:
    """Something to do after other tasks; of those that are ready, one with a lower ``rank`` goes first.

    ``work`` may raise Withdrawn.
    """

    work: Callable[[], None]
    after: Sequence[Task] = ()
    rank: int = 0
    waiting: int = field(default=0, init=False)
    followers: list[Task] = field(default_factory=list, init=False)


@dataclass(eq=False, slots=True)
class _LastAct:
    """What a task that has failed wants the main thread to do, and waits for in ``thread``."""

    act: Callable[[], None]
    thread: threading.Thread
    over: bool = False


class Pool:
    """Runs tasks; one set of them at a time."""

    def __init__(self) -> None:
        self._queue = _Queue(())

    def run(
        self,
        tasks: Sequence[Task],
        *,
        jobs: int,
        stop: Callable[[], None],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Run all tasks, ``jobs`` at a time, and return when every one has ended; do ``meanwhile`` in this thread.

        After a failure, or an exception in this thread such as KeyboardInterrupt, no task is begun any more, ``stop``
        is called to end those that run, and the first exception is raised when they have ended.
        """
        queue = self._queue = _Queue(tasks)
        workers = [
            threading.Thread(target=queue.work, args=(stop,), name=f"step-{n}") for n in range(min(jobs, len(tasks)))
        ]
        try:
            for worker in workers:
                worker.start()
            meanwhile()
            queue.wait()
            queue.do_last(stop, workers)
        except BaseException as error:
            queue.fail(error)
            stop()
            raise
        finally:
            queue.release()
            for worker in workers:
                if worker.is_alive():  # an interrupt may come before it is started
                    worker.join()
        if queue.failure is not None:
            raise queue.failure

    def alone(self, error: BaseException, act: Callable[[], None]) -> None:
        """Have the main thread do ``act`` when all other tasks have been ended, and wait until it has.

        For a task that is about to fail with ``error``. Nothing is done where the tasks are being ended already.
        """
        self._queue.wait_for_last(error, _LastAct(act, threading.current_thread()))


class _Queue:
    """The tasks of one run; ``_changed`` guards everything in it and in the tasks."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._changed = threading.Condition()
        self._left = len(tasks)
        self._ready: list[tuple[int, int, Task]] = []
        self._order = {id(task): number for number, task in enumerate(tasks)}
        self._left_out: set[int] = set()
        self._last: _LastAct | None = None
        self.failure: BaseException | None = None
        for task in tasks:
            task.waiting = len(task.after)
            for earlier in task.after:
                earlier.followers.append(task)
        for task in tasks:
            if not task.waiting:
                self._push(task)

    def work(self, stop: Callable[[], None]) -> None:
        """Do what is ready until nothing is left."""
        while task := self._take():
            try:
                task.work()
            except Withdrawn:
                self._leave_out(task)
            except BaseException as error:  # noqa: BLE001  (raised again in the thread that asked)
                if self.fail(error):
                    stop()
                return
            else:
                self._done(task)

    def wait(self) -> None:
        """Wait until all is done or something failed.

        Now and then it looks up, for a signal that came just before it began to sleep would not wake it.
        """
        with self._changed:
            while not self._changed.wait_for(self._over, _SIGNAL_SECONDS):
                pass

    def wait_for_last(self, error: BaseException, last: _LastAct) -> None:
        """Fail with ``error``, unless something has, and wait until ``last`` is done."""
        with self._changed:
            if self.failure is not None:
                return
            self.failure, self._last = error, last
            self._changed.notify_all()
            self._changed.wait_for(lambda: last.over)

    def do_last(self, stop: Callable[[], None], workers: Sequence[threading.Thread]) -> None:
        """Do what a failed task wants done, if one does, when all but that one have been ended."""
        if self._last is None:
            return
        stop()
        for worker in workers:
            if worker is not self._last.thread:
                worker.join()
        self._last.act()

    def release(self) -> None:
        """Let the failed task go on that waits for its last act, done or not."""
        with self._changed:
            if self._last is not None:
                self._last.over = True
                self._changed.notify_all()

    def fail(self, error: BaseException) -> bool:
        """Keep the first failure; tell whether this was it."""
        with self._changed:
            first = self.failure is None
            if first:
                self.failure = error
            self._changed.notify_all()
            return first

    def _over(self) -> bool:
        return self._left == 0 or self.failure is not None

    def _take(self) -> Task | None:
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._over())
            return None if self._over() else heapq.heappop(self._ready)[2]

    def _done(self, task: Task) -> None:
        with self._changed:
            self._left -= 1
            for follower in task.followers:
                follower.waiting -= 1
                if not follower.waiting:
                    self._push(follower)
            self._changed.notify_all()

    def _leave_out(self, task: Task) -> None:
        """Count a task, and all that come after it, as over."""
        with self._changed:
            pending = [task]
            while pending:
                one = pending.pop()
                if id(one) not in self._left_out:
                    self._left_out.add(id(one))
                    self._left -= 1
                    pending += one.followers
            self._changed.notify_all()

    def _push(self, task: Task) -> None:
        heapq.heappush(self._ready, (task.rank, self._order[id(task)], task))
