from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from ocibuild.graph import Finished, Output, Started, Stream, Transferred, Warned
from ocibuild.progress.pump import Pump

if TYPE_CHECKING:
    from ocibuild.graph import Event


class _Recorder:
    """A view that notes its calls, and waits in ``show`` while ``gate`` is closed."""

    def __init__(self, interval: float = 0.0) -> None:
        self.interval = interval
        self.events: list[Event] = []
        self.drawn: list[float] = []
        self.rests: list[int] = []
        self.closed = 0
        self.gate = threading.Event()
        self.gate.set()

    def show(self, event: Event, at: float) -> None:
        self.gate.wait()
        self.events.append(event)

    def draw(self, now: float) -> None:
        self.drawn.append(now)

    def rest(self, now: float) -> None:
        self.rests.append(len(self.events))

    def close(self, now: float) -> None:
        self.closed += 1


def _pump(view: _Recorder) -> Pump:
    pump = Pump(lambda: view)
    pump.start()
    return pump


def test_events_of_one_thread_keep_their_order_and_none_is_lost() -> None:
    view = _Recorder()
    pump = _pump(view)

    def speak(step: int) -> None:
        for number in range(500):
            pump.emit(Started(step, str(number)))

    threads = [threading.Thread(target=speak, args=(step,)) for step in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pump.finish()
    for step in range(8):
        labels = [event.label for event in view.events if isinstance(event, Started) and event.step == step]
        assert labels == [str(n) for n in range(500)]
    assert view.closed == 1


def test_events_after_the_end_are_forgotten() -> None:
    view = _Recorder()
    pump = _pump(view)
    pump.finish()
    pump.emit(Warned("late"))
    assert view.events == []


def test_output_is_dropped_where_nobody_reads_and_the_rest_is_kept() -> None:
    view = _Recorder()
    view.gate.clear()
    pump = _pump(view)
    began = time.monotonic()
    for _ in range(200):
        pump.emit(Output(1, Stream.STDOUT, b"x" * 65536))
        pump.emit(Transferred(1, "f", "downloading", 1, None))
    pump.emit(Finished(1, "a", 1.0))
    assert time.monotonic() - began < 5
    view.gate.set()
    pump.finish()
    shown = sum(len(event.text) for event in view.events if isinstance(event, Output))
    assert 4_000_000 < shown < 9_000_000
    assert any(isinstance(event, Finished) for event in view.events)
    [warned] = [event for event in view.events if isinstance(event, Warned)]
    assert warned.message.startswith(f"{200 * 65536 - shown} bytes of output are not shown")


def test_a_reader_that_is_slow_for_a_moment_loses_nothing() -> None:
    view = _Recorder()
    view.gate.clear()
    pump = _pump(view)
    threading.Timer(0.1, view.gate.set).start()
    for _ in range(100):
        pump.emit(Output(1, Stream.STDOUT, b"x" * 65536))
    pump.finish()
    assert len(view.events) == 100


def test_a_view_is_drawn_no_more_often_than_its_interval() -> None:
    view = _Recorder(interval=0.05)
    pump = _pump(view)
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        pump.emit(Warned("x"))
    pump.finish()
    gaps = [after - before for before, after in zip(view.drawn, view.drawn[1:], strict=False)]
    assert 1 <= len(view.drawn) <= 10
    assert min(gaps, default=1.0) >= 0.05


def test_a_view_with_an_interval_is_drawn_without_events_too() -> None:
    view = _Recorder(interval=0.02)
    pump = _pump(view)
    time.sleep(0.3)
    pump.finish()
    assert len(view.drawn) > 2


def test_while_it_is_held_nothing_is_shown_and_nothing_is_lost() -> None:
    view = _Recorder()
    pump = _pump(view)
    pump.emit(Started(1, "before"))
    with pump.held():
        assert view.rests == [1]
        drawn = len(view.drawn)
        pump.emit(Warned("meanwhile"))
        time.sleep(0.05)
        assert len(view.events) == 1
        assert len(view.drawn) == drawn
    pump.emit(Finished(1, "before", 1.0))
    pump.finish()
    assert view.events[1:] == [Warned("meanwhile"), Finished(1, "before", 1.0)]
    assert view.rests == [1]
    assert view.closed == 1
