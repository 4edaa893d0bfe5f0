"""One more process beside one that is run attached, by whoever runs that or another of the same user."""

from __future__ import annotations

import os
import time
from contextlib import closing
from typing import TYPE_CHECKING

from ocibuild.errors import SandboxError
from ocibuild.executor.signals import forwarded_to
from ocibuild.executor.terminal import own_size, relay
from ocibuild.sandbox import EntrySpec, knock

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.executor.process import Process
    from ocibuild.sandbox import Running

_PATIENCE = 30.0
_PAUSE = 0.02


def run_inside(
    door: str, process: Process, *, is_open: Callable[[], bool], begun: Callable[[], None] = lambda: None
) -> int:
    """Run a process to its end with our standard streams, behind a door; return its exit status, as a shell shows it.

    Of ``process`` what is not a command's own, such as its mounts, is as whoever is in there has it. ``is_open`` tells
    whether there may be a door yet, where there is none. ``begun`` hears when the process is about to be its program.
    For the main thread. Raises CannotStart, SandboxError.
    """
    size = own_size() if process.terminal else (0, 0)
    spec = EntrySpec(list(process.args), list(process.env), process.user, process.working_dir, process.terminal, size)
    with closing(_enter(door, spec, process, is_open)) as running, forwarded_to(running, has_terminal=process.terminal):
        if process.terminal and not relay(running.terminal(), interactive=process.interactive):
            running.kill()
        if not process.terminal:
            running.wait_for_program()
            begun()
        return running.wait().exit_status


def _enter(door: str, spec: EntrySpec, process: Process, is_open: Callable[[], bool]) -> Running:
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    streams = (null, null, null) if process.terminal else (0 if process.interactive else null, 1, 2)
    until = time.monotonic() + _PATIENCE
    try:
        while True:
            try:
                return knock(door, spec, *streams)
            except (FileNotFoundError, ConnectionRefusedError) as error:  # it has just begun, or ends
                if time.monotonic() > until or not is_open():
                    raise SandboxError("it ended before the process was in there") from error
            time.sleep(_PAUSE)
    finally:
        os.close(null)
