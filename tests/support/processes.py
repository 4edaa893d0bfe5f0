"""What is on the machine: its processes and mounts, and ending a process with all that it started."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def processes_with(mark: str) -> list[int]:
    """Return the processes that have ``mark`` in their command line, or in their environment as far as it is shown."""
    processes = [entry for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    marked = [int(entry.name) for entry in processes if mark.encode() in _read(entry / "cmdline", entry / "environ")]
    return [pid for pid in marked if pid != os.getpid()]


def _read(*paths: Path) -> bytes:
    """Return what can be read of files one after the other: of other users' processes not all can."""
    content = b""
    for path in paths:
        with suppress(OSError):
            content += path.read_bytes()
    return content


def descendants(pid: int) -> list[int]:
    """Return a process and all below it, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found.extend(children.get(one, []))
    return found


def kill_all(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def mounts_below(folder: Path) -> list[str]:
    """Return the mounts of this machine that have to do with ``folder``."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]


def wait_until(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    """Wait until ``condition`` holds; fail where it does not."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
