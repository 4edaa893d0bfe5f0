"""The memory of a process tree while it runs, from /proc."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_INTERVAL_SECONDS = 0.02


class Watch:
    """Samples a process tree every 20 ms in a thread of its own, until it is left; ``peak`` is in bytes.

    The peak is the largest sum of the proportional set sizes (PSS) of the tree that was seen, or the largest resident
    set that one process of it ever had (VmHWM), where that is more: a short peak may fall between two samples.
    The trees of ``daemons``, which work for the process but ran before it, count with their PSS alone.
    """

    def __init__(self, pid: int, daemons: Sequence[int] = ()) -> None:
        self.peak = 0
        self._pid = pid
        self._daemons = daemons
        self._seen: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self._sample()
            if self._stop.wait(_INTERVAL_SECONDS):
                return

    def _sample(self) -> None:
        self._seen.update(tree(self._pid))  # who lost its parent stays in
        helpers = {pid for daemon in self._daemons for pid in tree(daemon)} - self._seen
        total = sum(_kib(pid, "smaps_rollup", "Pss:") for pid in self._seen | helpers)
        largest = max(_kib(pid, "status", "VmHWM:") for pid in self._seen)
        self.peak = max(self.peak, total << 10, largest << 10)


def tree(pid: int) -> Iterator[int]:
    """Yield the process and all that descend from it."""
    yield pid
    for child in _children(pid):
        yield from tree(child)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
    except OSError:
        pass  # it ended meanwhile
    return found


def _kib(pid: int, file: str, key: str) -> int:
    """Return a number of kibibytes from a file of /proc; 0 where the process has ended or may not be looked at."""
    try:
        with open(f"/proc/{pid}/{file}", encoding="utf-8", errors="replace") as lines:
            return next((int(line.split()[1]) for line in lines if line.startswith(key)), 0)
    except OSError:
        return 0
