"""Signals that mean to end this process, given to the one that it runs."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.sandbox import Running


@contextmanager
def forwarded_to(running: Running) -> Iterator[None]:
    """Give SIGINT, SIGTERM and SIGHUP to what runs; the second of them kills it. For the main thread."""
    sent: list[int] = []

    def forward(number: int, _frame: object) -> None:
        sent.append(number)  # first: the next signal may come while this one is handled
        running.kill() if len(sent) > 1 else running.signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
