"""What stops this process from outside: a signal, which becomes an exception in the main thread."""

from __future__ import annotations

import signal
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_PAUSE = 0.01
"""Seconds until an exception that must not be raised now, or was lost, is raised."""

_WAITS = frozenset({"wait", "_wait_for_tstate_lock"})
"""Functions of ``threading`` that wait, perhaps for long, and leave no lock behind when they are interrupted."""


class Terminated(BaseException):
    """Somebody asked this process to end."""


def raise_when_stopped() -> None:
    """Have SIGTERM raise Terminated, and SIGINT KeyboardInterrupt, unless it is ignored: soon, and never lost.

    What a handler raises comes between any two instructions. In an import, or in the taking of a lock, it would leave
    a lock behind for which other threads wait for ever; so it is raised a moment later. In a finalizer, or in what is
    called when an object goes, Python prints it and goes on; so it is raised again.
    """
    signal.signal(signal.SIGTERM, partial(_raise, Terminated))
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, partial(_raise, KeyboardInterrupt))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    sys.unraisablehook = _take_up


def _raise(error: type[BaseException], _number: int, frame: FrameType | None) -> None:
    if _leaves_locks(frame):
        _raise_soon(error)
    else:
        signal.setitimer(signal.ITIMER_REAL, 0)  # what was put off is not to come into the cleaning up
        raise error


def _raise_soon(error: type[BaseException]) -> None:
    signal.signal(signal.SIGALRM, partial(_raise, error))
    signal.setitimer(signal.ITIMER_REAL, _PAUSE)


def _take_up(ignored: sys.UnraisableHookArgs) -> None:
    if issubclass(ignored.exc_type, (Terminated, KeyboardInterrupt)):
        _raise_soon(ignored.exc_type)
    else:
        sys.__unraisablehook__(ignored)


def _leaves_locks(frame: FrameType | None) -> bool:
    """Tell whether what is raised in this frame may leave a lock that nobody lets go."""
    if frame is not None and frame.f_code.co_filename == threading.__file__ and frame.f_code.co_name not in _WAITS:
        return True
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
