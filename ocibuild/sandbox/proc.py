"""A /proc that shows the processes of this process's own PID namespace, by the numbers that they have there."""

from __future__ import annotations

import os

from ocibuild.sandbox import syscalls

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def open_proc() -> int:
    """Return a directory of it, open; raise OSError.

    The one of the machine has other numbers where this process is in a PID namespace below that one's; see proc(5),
    "NSpid". Then it is a mount that nobody else sees.
    """
    with open("/proc/self/status", "rb") as status:
        numbers = status.read().partition(b"\nNSpid:")[2].partition(b"\n")[0].split()
    if len(numbers) == 1:
        return os.open("/proc", _FLAGS)
    mount = syscalls.new_mount("proc", [])
    try:
        return os.open(".", _FLAGS, dir_fd=mount)  # a mount's descriptor is O_PATH: nothing can be listed with it
    finally:
        os.close(mount)
