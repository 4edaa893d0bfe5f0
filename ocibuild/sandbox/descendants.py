"""Ending all that a process started, where no PID namespace does it: also what forks meanwhile, or left its parents."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ocibuild.sandbox.proc import open_proc
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_PASSES = 64
"""How often we look for what is not stopped yet, before all that is gets killed."""
_STAT = 4096


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
    if not left_alone and not has_children():
        return
    with _table() as table:
        while left_alone or has_children():
            stopped = _stop_all(table, left_alone)
            if not stopped:
                return
            for found in stopped:
                if not table.send(found, signal.SIGKILL):
                    left_alone.add(found.pid)
            _reap(found.pid for found in stopped if found.pid not in left_alone)


def signal_below(top: int, depth: int, number: int) -> None:
    """Send a signal to the processes that are ``depth`` generations below ``top``, of which 0 is that itself."""
    with _table() as table:
        found = list(table.processes())
        generation = [one for one in found if one.pid == top]
        for _ in range(depth):
            parents = {one.pid for one in generation}
            generation = [one for one in found if one.parent in parents]
        for one in generation:
            table.send(one, number)


def has_children() -> bool:
    """Reap what has ended; tell whether anything is left, which would be our child once it had lost its parents."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _stop_all(table: _Table, left_alone: Collection[int]) -> list[_Found]:
    """Stop all descendants, also those that are forked meanwhile, and return them, each after its parent."""
    stopped: dict[_Found, None] = {}
    for _ in range(_PASSES):
        new = [found for found in table.descendants(left_alone) if found not in stopped]
        if not new:
            break
        for found in new:
            table.send(found, signal.SIGSTOP)
            stopped[found] = None
    return list(stopped)


def _reap(pids: Iterable[int]) -> None:
    """Wait for the end of those that are our children; the others become so, and are for the next time."""
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


@contextmanager
def _table() -> Iterator[_Table]:
    proc = open_proc()
    try:
        yield _Table(proc)
    finally:
        os.close(proc)


class _Table:
    """All processes that we see, in a directory of /proc for our PID namespace."""

    def __init__(self, proc: int) -> None:
        self._proc = proc

    def processes(self) -> Iterator[_Found]:
        """Yield them."""
        for name in os.listdir(self._proc):
            if name.isdecimal() and (found := self._read(int(name))):
                yield found

    def descendants(self, left_alone: Collection[int]) -> list[_Found]:
        """Return what is below this process, each after its parent."""
        below: dict[int, list[_Found]] = {}
        for found in self.processes():
            below.setdefault(found.parent, []).append(found)
        reached = [found for found in below.get(os.getpid(), []) if found.pid not in left_alone]
        for found in reached:
            reached += [child for child in below.get(found.pid, []) if child.pid not in left_alone]
        return reached

    def send(self, found: _Found, number: int) -> bool:
        """Send a signal to a process, and to no later one that got its number; False where the kernel refuses."""
        try:
            fd = os.pidfd_open(found.pid)
        except OSError:
            return True  # it has ended
        try:
            now = self._read(found.pid)
            if now is not None and now.started == found.started:
                signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        finally:
            os.close(fd)
        return True

    def _read(self, pid: int) -> _Found | None:
        try:
            fd = os.open(f"{pid}/stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        except OSError:
            return None  # it has ended
        try:
            fields = os.read(fd, _STAT).rpartition(b")")[2].split()  # a program's name may hold anything
        except ProcessLookupError:
            return None
        finally:
            os.close(fd)
        return _Found(pid, int(fields[1]), int(fields[19]))
