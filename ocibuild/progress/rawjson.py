"""Progress as JSON, one object a line, in the shape of BuildKit's ``SolveStatus`` (docker's ``--progress rawjson``).

A vertex is named by a digest there; ours is that of the step's number and label, so it is stable from run to run.
Output is in base64; stream 1 is standard output, 2 standard error; times are in UTC as in RFC 3339.
"""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any, assert_never

from ocibuild.graph import Finished, Noted, Output, Started, Stream, Transferred, Warned
from ocibuild.oci import Digest
from ocibuild.progress.text import one_line
from ocibuild.progress.transfers import Transfers, complete

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.graph import Event

_STREAM = {Stream.STDOUT: 1, Stream.STDERR: 2}
_TRANSFER_SECONDS = 0.15
_LEVEL_WARNING = 1


class _Step:
    """What the lines about a step repeat; ``transfers`` holds when each began."""

    def __init__(self, number: int, label: str, started: float) -> None:
        self.digest = Digest.of(f"{number} {label}".encode())
        self.started = started
        self.throttle = Transfers(_TRANSFER_SECONDS)
        self.transfers: dict[str, float] = {}


class JsonView:
    """Writes each event as one line at once, but the states of a transfer only some times a second."""

    interval = 0.0

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._epoch = time.time() - time.monotonic()
        self._steps: dict[int, _Step] = {}
        self._pending: list[str] = []

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
            case Noted():  # BuildKit, too, says what it has to say of a vertex in the vertex's log
                self._output(
                    Output(event.step, Stream.STDERR, f"{one_line(event.text)}\n".encode("utf-8", "replace")), at
                )
            case Warned():
                short = base64.b64encode(event.message.encode("utf-8", "replace")).decode()
                self._put(warnings={"level": _LEVEL_WARNING, "short": short})
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
        """Write the last lines."""
        for step in self._steps.values():
            self._release(step, now)
        self.draw(now)

    def _put(self, **members: dict[str, Any]) -> None:
        self._pending.append(json.dumps({name: [value] for name, value in members.items()}) + "\n")

    def _time(self, at: float) -> str:
        moment = self._epoch + at
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(moment))}.{int(moment % 1 * 1e6):06}Z"

    def _step(self, number: int, label: str, at: float) -> _Step:
        return self._steps.setdefault(number, _Step(number, label, at))

    def _start(self, event: Started, at: float) -> None:
        step = self._step(event.step, event.label, at)
        self._put(vertexes={"digest": step.digest, "name": event.label, "started": self._time(at)})

    def _output(self, event: Output, at: float) -> None:
        step = self._step(event.step, "", at)
        data = base64.b64encode(event.text).decode()
        log = {"vertex": step.digest, "stream": _STREAM[event.stream], "data": data, "timestamp": self._time(at)}
        self._put(logs=log)

    def _transfer(self, event: Transferred, at: float) -> None:
        step = self._step(event.step, "", at)
        if step.throttle.due(event, at):
            self._status(step, event, at)

    def _status(self, step: _Step, event: Transferred, at: float) -> None:
        name = f"{event.verb} {event.item}"
        status: dict[str, Any] = {"id": name, "vertex": step.digest, "name": name, "current": event.done}
        if event.total is not None:
            status["total"] = event.total
        status |= {"timestamp": self._time(at), "started": self._time(step.transfers.setdefault(name, at))}
        if complete(event):
            status["completed"] = self._time(at)
        self._put(statuses=status)

    def _release(self, step: _Step, at: float) -> None:
        for event in step.throttle.held():
            self._status(step, event, at)

    def _finish(self, event: Finished, at: float) -> None:
        step = self._steps.pop(event.step, None) or _Step(event.step, event.label, at - event.seconds)
        self._release(step, at)
        vertex: dict[str, Any] = {"digest": step.digest, "name": event.label}
        vertex |= {"started": self._time(step.started), "completed": self._time(at)}
        if event.cached:
            vertex["cached"] = True
        if event.error is not None or event.cancelled:
            vertex["error"] = event.error or "canceled"
        self._put(vertexes=vertex)
