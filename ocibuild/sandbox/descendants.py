"""Ending all that a process started, where no PID namespace does it: also what forks meanwhile, or left its parents."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_PASSES = 64
"""How often we look for what is not stopped yet, before all that is gets killed."""


class _Found(NamedTuple):
    """A process as /proc/PID/stat tells of it; ``started`` tells it from a later one of the same number."""

    pid: int
    parent: int
    started: int


def end_descendants(spared: Collection[int] = ()) -> None:
    """Kill every descendant of this process, which must be their subreaper, and reap them, until none is left.

    The children in ``spared``, and what is below them, are left alone, and so is what the kernel does not let us kill.
    All are stopped before any is killed, so that what forks without end gets no room to do so.
    """
    left_alone = set(spared)
    while left_alone or _has_children():
        stopped = _stop_all(left_alone)
        if not stopped:
            return
        for found in stopped:
            if not _send(found, signal.SIGKILL):
                left_alone.add(found.pid)
        _reap(found.pid for found in stopped if found.pid not in left_alone)


def signal_below(top: int, depth: int, number: int) -> None:
    """Send a signal to the processes that are ``depth`` generations below ``top``, of which 0 is that itself."""
    found = list(_processes())
    generation = [one for one in found if one.pid == top]
    for _ in range(depth):
        parents = {one.pid for one in generation}
        generation = [one for one in found if one.parent in parents]
    for one in generation:
        _send(one, number)


def _has_children() -> bool:
    """Reap what has ended; tell whether anything is left, which would be our child once it had lost its parents."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _stop_all(left_alone: Collection[int]) -> list[_Found]:
    """Stop all descendants, also those that are forked meanwhile, and return them, each after its parent."""
    stopped: dict[_Found, None] = {}
    for _ in range(_PASSES):
        new = [found for found in _descendants(left_alone) if found not in stopped]
        if not new:
            break
        for found in new:
            _send(found, signal.SIGSTOP)
            stopped[found] = None
    return list(stopped)


def _reap(pids: Iterable[int]) -> None:
    """Wait for the end of those that are our children; the others become so, and are for the next time."""
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _descendants(left_alone: Collection[int]) -> list[_Found]:
    """Return what is below this process, each after its parent."""
    below: dict[int, list[_Found]] = {}
    for found in _processes():
        below.setdefault(found.parent, []).append(found)
    reached = [found for found in below.get(os.getpid(), []) if found.pid not in left_alone]
    for found in reached:
        reached += [child for child in below.get(found.pid, []) if child.pid not in left_alone]
    return reached


def _processes() -> Iterator[_Found]:
    """Yield all processes that we see."""
    for name in os.listdir("/proc"):
        if name.isdecimal() and (found := _read(int(name))):
            yield found


def _read(pid: int) -> _Found | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # a program's name may hold anything
    except OSError:
        return None  # it has ended
    return _Found(pid, int(fields[1]), int(fields[19]))


def _send(found: _Found, number: int) -> bool:
    """Send a signal to a process, and to no later one that got its number; False where the kernel refuses."""
    try:
        fd = os.pidfd_open(found.pid)
    except OSError:
        return True  # it has ended
    try:
        now = _read(found.pid)
        if now is not None and now.started == found.started:
            signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    finally:
        os.close(fd)
    return True
