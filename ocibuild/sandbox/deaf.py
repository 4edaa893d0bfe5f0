"""Threads that leave signals to the main one."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading


def start_deaf(thread: threading.Thread) -> None:
    """Start a thread that gets no signals, nor does what it forks.

    A signal to this process that comes while the main thread has another goes to any thread that takes it. Then only
    the main thread runs its handler, and that may be waiting in the kernel, which nothing interrupts any more.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
