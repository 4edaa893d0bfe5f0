"""The same work on several things at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ocibuild.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future
    from typing import Any, TypeVar

    Item = TypeVar("Item")


SIGNAL_SECONDS = 0.2
"""The longest that the main thread sleeps without a look at its signals."""


class Stop:
    """Tells workers that the work as a whole has failed."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Let every further ``check()`` raise."""
        self._event.set()

    def check(self) -> None:
        """Raise Interrupted where another worker has failed."""
        if self._event.is_set():
            raise Interrupted


def in_parallel(
    work: Callable[[Item, Stop], None],
    items: Sequence[Item],
    *,
    limit: int,
    abandon: Callable[[], None],
) -> None:
    """Call ``work`` for each of ``items``, at most ``limit`` at a time, and return when all have ended.

    The first error ends the others at their next ``Stop.check()`` and is raised. Where this thread itself is
    interrupted, ``abandon`` is called to wake those that wait. No thread outlives the call.
    """
    from concurrent.futures import ThreadPoolExecutor

    stop = Stop()
    with ThreadPoolExecutor(max_workers=limit, thread_name_prefix="transfer") as pool:
        try:
            futures = [pool.submit(work, item, stop) for item in items]
            wait_until_settled(futures)
        except BaseException:
            abandon()
            raise
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
    _raise_first(futures)


def wait_until_settled(futures: Iterable[Future[Any]]) -> None:
    """Wait until all have ended or one has failed, in the main thread, whose signals are not missed.

    A signal that comes just before the thread begins to sleep would wake it only at its end: so it never sleeps long.
    """
    from concurrent.futures import FIRST_EXCEPTION, wait

    running: Iterable[Future[Any]] = futures
    while running:
        done, running = wait(futures, SIGNAL_SECONDS, FIRST_EXCEPTION)
        if any(not future.cancelled() and future.exception() for future in done):
            return


def _raise_first(futures: Sequence[Future[None]]) -> None:
    errors = [error for future in futures if not future.cancelled() and (error := future.exception())]
    if errors:
        raise next((error for error in errors if not isinstance(error, Interrupted)), errors[0])
