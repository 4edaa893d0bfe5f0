"""How many processes a step may have at once: so that one that forks without end fails, and the machine does not."""

from __future__ import annotations

import os
from contextlib import suppress

_PROCESSES = 8192
"""Threads included: four times what podman allows a container, and about a gigabyte where each is a small shell."""
_PID_MAX = "/proc/sys/kernel/pid_max"
_SINCE = (6, 14)  # before, the file was the machine's own, and writing to it would change the machine


def bound_processes(root: str = "") -> None:
    """Bound the processes of the PID namespace that this process is the first of, where the kernel can do that.

    Its /proc is below ``root``.

    RLIMIT_NPROC would not: it does not hold for root, and counts what else a user runs. On older kernels, and where
    /proc cannot be written, the limits and cgroups that the builder was started with are all there is.
    """
    if _kernel() < _SINCE:
        return
    with suppress(OSError):
        fd = os.open(root + _PID_MAX, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"%d" % _PROCESSES)
        finally:
            os.close(fd)


def _kernel() -> tuple[int, int]:
    """Return the version of the kernel, (0, 0) where its release does not begin with one."""
    major, _, rest = os.uname().release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (0, 0)
