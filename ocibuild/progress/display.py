"""The door: a callable that takes events while a display of them is running."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, TextIO, assert_never

from ocibuild.progress.mode import Mode, settle
from ocibuild.progress.outlet import Outlet
from ocibuild.progress.pump import Pump, View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.graph import Event


class Display:
    """Takes events, as ``Emit`` says: from any thread, waiting a quarter of a second at most, and never raising."""

    def __init__(self, pump: Pump | None) -> None:
        self._pump = pump

    def __call__(self, event: Event) -> None:
        """Show ``event``, also where the stream was closed at the other end."""
        if self._pump is not None:
            self._pump.emit(event)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Show all that came before the block, and nothing while it lasts: the terminal is the caller's."""
        with self._pump.held() if self._pump is not None else nullcontext():
            yield


@contextmanager
def display(mode: Mode, stream: TextIO, *, title: str) -> Iterator[Display]:
    """Show on ``stream`` the events that the returned callable is given, until the context is left.

    Leaving shows what is still to be shown and restores the terminal, on
    exceptions and on an interrupt too. ``title`` says what is done as a whole. A thread is started (none in the
    quiet mode): whoever must fork does so before. Raises UsageError where TTY is asked for without a terminal.
    """
    settled = settle(mode, stream, os.environ)
    if settled is Mode.QUIET:
        yield Display(None)
        return
    outlet = Outlet(stream)
    pump = Pump(lambda: _view(settled, outlet, title))
    pump.start()
    try:
        yield Display(pump)
    finally:
        pump.finish()


def _view(mode: Mode, outlet: Outlet, title: str) -> View:
    match mode:
        case Mode.TTY:
            from ocibuild.progress.terminal import TerminalView

            return TerminalView(outlet, title, time.monotonic())
        case Mode.PLAIN:
            from ocibuild.progress.plain import PlainView

            return PlainView(outlet.write, title)
        case Mode.RAWJSON:
            from ocibuild.progress.rawjson import JsonView

            return JsonView(outlet.write)
        case Mode.AUTO | Mode.QUIET:
            raise ValueError(f"{mode} is no form of its own")
        case _:
            assert_never(mode)
