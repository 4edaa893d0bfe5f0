"""Carries events from the threads that work to the one thread that shows them."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ocibuild.graph import Output, Transferred, Warned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.graph import Event

_CAPACITY = 4 * 1024 * 1024
"""Bytes of events that may wait to be shown."""
_EVENT_COST = 128
_PATIENCE = 0.25
"""Seconds for which a thread waits for room before its output is dropped."""


class View(Protocol):
    """A form of display. All calls come from one thread; times are in seconds on the monotonic clock."""

    interval: float
    """Seconds between two calls of ``draw``; 0 for one after each batch of events and none between."""

    def show(self, event: Event, at: float) -> None:
        """Take in ``event``, which happened at the time ``at``."""

    def draw(self, now: float) -> None:
        """Bring what was taken in before the user."""

    def rest(self, now: float) -> None:
        """Bring what was taken in before the user, and leave the stream to others until the next call."""

    def close(self, now: float) -> None:
        """Bring the last of it before the user, and leave the stream as it was found. Called once, always."""


class Pump:
    """A queue of bounded size and the thread that empties it into a view.

    ``emit`` may be called from any thread. Where the reader of the stream does not keep up, a step's output and
    the states of transfers are dropped, and the user is told how much; no other event ever is. The lock guards the
    queue, its cost and the flags; the view belongs to the thread alone.
    """

    def __init__(self, make_view: Callable[[], View]) -> None:
        self._make_view = make_view
        self._changed = threading.Condition()
        self._queue: list[tuple[Event, float]] = []
        self._cost = 0
        self._stalled = False
        self._dropped = 0
        self._ending = False
        self._held = False
        self._at_rest = False
        self._dead = False
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def emit(self, event: Event) -> None:
        """Take ``event``; returns within ``_PATIENCE`` seconds. After the end events are forgotten."""
        at = time.monotonic()
        cost = _EVENT_COST + (len(event.text) if isinstance(event, Output) else 0)
        with self._changed:
            if self._ending or self._dead:
                return
            if isinstance(event, Output | Transferred) and not self._has_room():
                self._dropped += len(event.text) if isinstance(event, Output) else 0
                return
            self._queue.append((event, at))
            self._cost += cost
            self._changed.notify_all()

    def _has_room(self) -> bool:
        if self._cost < _CAPACITY:
            return True
        if not self._stalled:  # waiting again and again for a reader that has stopped would stop the build as well
            self._changed.wait_for(lambda: self._cost < _CAPACITY or self._dead or self._ending, _PATIENCE)
        self._stalled = self._cost >= _CAPACITY
        return not self._stalled

    @contextmanager
    def held(self) -> Iterator[None]:
        """Show all that came before the block, and nothing while it lasts: the stream is the caller's."""
        try:
            with self._changed:
                self._held = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._at_rest or self._dead)
            yield
        finally:
            with self._changed:
                self._held = self._at_rest = False
                self._changed.notify_all()

    def finish(self) -> None:
        """Show what is left, close the view and end the thread. An interrupt meanwhile waits a second at most."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        try:
            self._thread.join()
        except KeyboardInterrupt:
            self._thread.join(1.0)
            raise

    def _run(self) -> None:
        try:
            view = self._make_view()
            try:
                self._show_all(view)
            finally:
                view.close(time.monotonic())
        finally:
            with self._changed:
                self._dead = True
                self._queue.clear()
                self._changed.notify_all()

    def _show_all(self, view: View) -> None:
        drawn = time.monotonic()
        ending = False
        while not ending:
            batch, held, ending = self._take(drawn + view.interval if view.interval else None)
            for event, at in batch:
                view.show(event, at)
            now = time.monotonic()
            if held:
                view.rest(now)
                self._rest()
            elif now - drawn >= view.interval:
                view.draw(now)
                drawn = now

    def _rest(self) -> None:
        """Wait until the stream is ours again."""
        with self._changed:
            self._at_rest = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._held)

    def _take(self, until: float | None) -> tuple[list[tuple[Event, float]], bool, bool]:
        """Wait for events until the time ``until``; return them all, whether to rest then, and whether to end."""
        with self._changed:
            timeout = None if until is None else max(until - time.monotonic(), 0.0)
            self._changed.wait_for(lambda: bool(self._queue) or self._ending or self._held, timeout)
            batch, self._queue = self._queue, []
            self._cost = 0
            self._stalled = False
            if self._dropped:
                batch.append((_too_slow(self._dropped), time.monotonic()))
                self._dropped = 0
            self._changed.notify_all()
            return batch, self._held, self._ending


def _too_slow(count: int) -> Warned:
    return Warned(f"{count} bytes of output are not shown: they were not read in time")
