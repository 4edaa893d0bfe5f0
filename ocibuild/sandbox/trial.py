"""Whether a step gets the namespaces and mounts that every one has, tried where there is reason to doubt."""

from __future__ import annotations

import os
import signal

from ocibuild.sandbox import syscalls
from ocibuild.sandbox.program import explain
from ocibuild.sandbox.step import STEP_NAMESPACES, try_namespaces

_LONGEST = 1 << 12


def refusal_of_step() -> str:
    """Return what a step is refused, tried in a child where there is reason to doubt; empty where all is well."""
    if not is_doubtful():
        return ""
    said, say = os.pipe2(os.O_CLOEXEC)
    pid, pidfd = syscalls.clone(STEP_NAMESPACES, exit_signal=signal.SIGCHLD)
    if pid == 0:
        try:
            try_namespaces()
        except OSError as error:
            os.write(say, f"namespaces and mounts: {explain(error)}".encode("utf-8", "replace"))
        finally:
            os.close(say)  # the end of its namespaces takes longer, and nobody waits for that
            os._exit(0)
    os.close(pidfd)
    os.close(say)
    refusal = os.read(said, _LONGEST).decode()
    os.close(said)
    return refusal


def is_doubtful() -> bool:
    """Tell whether somebody has a say in our system calls, or covers parts of /proc: as a container's runtime does."""
    try:
        with open("/proc/self/status", "rb") as status, open("/proc/self/mountinfo", "rb") as mounts:
            return b"\nSeccomp:\t0\n" not in status.read() or b" /proc/" in mounts.read()
    except OSError:
        return True
