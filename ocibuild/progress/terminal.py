"""Progress on a terminal: what is known of the running steps, and when to draw it. The drawing is in ``screen``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, assert_never

from ocibuild.graph import Finished, Noted, Output, Started, Transferred, Warned
from ocibuild.progress.rows import Row, finished_row, running_rows, status_row, warning_row
from ocibuild.progress.running import RunningStep
from ocibuild.progress.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.graph import Event
    from ocibuild.progress.outlet import Outlet
    from ocibuild.progress.screen import Screen

_FIRST_DRAW = 0.2
"""Seconds before anything is drawn."""


class TerminalView:
    """One line for each step that is done, and below them the running ones, drawn anew ten times a second at most.

    Nothing is drawn, and ``rich`` is not imported, in the first moments: a build that is over by then, because all
    of it was cached, just leaves its lines.
    """

    interval = 0.1

    def __init__(self, outlet: Outlet, title: str, now: float) -> None:
        self._outlet = outlet
        self._title = one_line(title)
        self._began = now
        self._running: dict[int, RunningStep] = {}
        self._done: list[Row] = []
        self._count = 0
        self._failed = False
        self._screen: Screen | None = None

    def show(self, event: Event, at: float) -> None:
        """Take in ``event``."""
        match event:
            case Started():
                self._running[event.step] = RunningStep(event.label, at)
            case Output():
                self._step(event.step, at).take(event)
            case Transferred():
                self._step(event.step, at).transfers[event.verb, event.item] = event
            case Finished():
                self._finish(event)
            case Noted():
                pass  # it would be gone with the next line of output
            case Warned():
                self._done.append(warning_row(event.message))
            case _:
                assert_never(event)

    def draw(self, now: float) -> None:
        """Draw the finished steps for good and the running ones for now."""
        if now - self._began < _FIRST_DRAW:
            return
        if self._screen is None:
            from ocibuild.progress.screen import Screen

            self._screen = Screen(self._outlet)
            self._screen.open()
        width, height = self._size()
        live = [*running_rows(list(self._running.values()), now, height - 2), self._status(now)]
        self._screen.draw(self._done, live, width, height)
        self._done = []

    def rest(self, now: float) -> None:
        """Leave a line for each step, those that run with the end of their output, and the terminal as it was."""
        _, height = self._size()
        self._leave([*self._done, *running_rows(list(self._running.values()), now, height - 2)])
        self._done = []

    def close(self, now: float) -> None:
        """Leave a line for each step, a last one for the whole, and the terminal as it was."""
        self._leave([*self._done, self._status(now, over=True)])

    def _leave(self, rows: Sequence[Row]) -> None:
        screen, self._screen = self._screen, None
        if screen is not None:
            screen.close(rows, *self._size())
            return
        width, _ = self._size()
        self._outlet.write("".join(f"{row.fitted(width)}\n" for row in rows))

    def _step(self, number: int, at: float) -> RunningStep:
        return self._running.setdefault(number, RunningStep("", at))

    def _finish(self, event: Finished) -> None:
        self._running.pop(event.step, None)
        self._count += 1
        self._failed = self._failed or event.error is not None
        self._done.append(finished_row(event))

    def _status(self, now: float, *, over: bool = False) -> Row:
        return status_row(self._title, now - self._began, self._count, failed=self._failed, over=over)

    def _size(self) -> tuple[int, int]:
        """Return columns and lines; a terminal that does not know its size says 0."""
        try:
            columns, lines = os.get_terminal_size(self._outlet.fileno())
        except OSError:
            columns, lines = 0, 0
        return columns or 80, lines or 24
