"""Progress as numbered lines, for a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from ocibuild.graph import Finished, Noted, Output, Started, Stream, Transferred, Warned
from ocibuild.progress.text import Lines, duration, one_line, size
from ocibuild.progress.transfers import Transfers, complete

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.graph import Event

_TRANSFER_SECONDS = 5.0


class _Step:
    """What is known of a step that has begun."""

    def __init__(self, number: int, started: float) -> None:
        self.number = number
        self.started = started
        self.lines = {stream: Lines() for stream in Stream}
        self.transfers = Transfers(_TRANSFER_SECONDS)


class PlainView:
    """Lines as BuildKit's plain output has them: ``#5 [2/4] RUN make``, ``#5 0.123 text``, ``#5 DONE 1.2s``.

    Only whole lines are written, many at a time. The number before a line of output is in seconds since its
    step began.
    """

    interval = 0.0

    def __init__(self, write: Callable[[str], object], title: str) -> None:
        self._write = write
        self._steps: dict[int, _Step] = {}
        self._pending = [f"#0 {one_line(title)}\n\n"] if title else []

    def show(self, event: Event, at: float) -> None:
        """Take in ``event``."""
        match event:
            case Started():
                self._start(event, at)
            case Output():
                self._output(event, at)
            case Transferred():
                self._transfer(event, at)
            case Finished():
                self._finish(event, at)
            case Noted():
                self._line(self._step(event.step, at).number, one_line(event.text))
            case Warned():
                self._pending.append(f"WARNING: {one_line(event.message)}\n")
            case _:
                assert_never(event)

    def draw(self, now: float) -> None:  # noqa: ARG002 (lines do not change with time)
        """Write the lines that are ready."""
        if self._pending:
            self._write("".join(self._pending))
            self._pending.clear()

    def rest(self, now: float) -> None:
        """Write the lines that are ready."""
        self.draw(now)

    def close(self, now: float) -> None:
        """Write all lines, those without an end too."""
        for step in self._steps.values():
            self._flush(step, now)
        self.draw(now)

    def _line(self, number: int, text: str) -> None:
        self._pending.append(f"#{number} {text}".rstrip() + "\n")

    def _start(self, event: Started, at: float) -> None:
        self._steps[event.step] = _Step(event.step, at)
        self._line(event.step, one_line(event.label))

    def _step(self, number: int, at: float) -> _Step:
        return self._steps.setdefault(number, _Step(number, at))

    def _output(self, event: Output, at: float) -> None:
        step = self._step(event.step, at)
        for line in step.lines[event.stream].feed(event.text):
            self._line(step.number, f"{_elapsed(at - step.started)} {line}")

    def _transfer(self, event: Transferred, at: float) -> None:
        if self._step(event.step, at).transfers.due(event, at):
            self._line(event.step, _transfer_text(event))

    def _flush(self, step: _Step, at: float) -> None:
        for lines in step.lines.values():
            for line in lines.flush():
                self._line(step.number, f"{_elapsed(at - step.started)} {line}")
        for event in step.transfers.held():
            self._line(step.number, _transfer_text(event))

    def _finish(self, event: Finished, at: float) -> None:
        step = self._steps.pop(event.step, None)
        if step is None:
            self._line(event.step, one_line(event.label))
        else:
            self._flush(step, at)
        self._line(event.step, _outcome(event))
        self._pending.append("\n")


def _outcome(event: Finished) -> str:
    if event.error is not None:
        return f"ERROR: {one_line(event.error)}"
    if event.cancelled:
        return "CANCELED"
    return "CACHED" if event.cached else f"DONE {duration(event.seconds)}"


def _elapsed(seconds: float) -> str:
    """Return ``seconds`` in five characters up to 999 s, as BuildKit does: ``0.123``, ``12.34``, ``123.4``."""
    digits = 3 if seconds < 10 else 2 if seconds < 100 else 1
    return f"{max(seconds, 0.0):.{digits}f}"


def _transfer_text(event: Transferred) -> str:
    total = f" / {size(event.total)}" if event.total is not None else ""
    done = " done" if complete(event) else ""
    return f"{one_line(event.verb)} {one_line(event.item)} {size(event.done)}{total}{done}"
