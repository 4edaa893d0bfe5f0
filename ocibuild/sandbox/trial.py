"""Whether namespaces are of use here, tried where there is reason to doubt, before this process enters any.

There is no way back out of them: what runs steps without namespaces must not be in some that allow less than none.
"""

from __future__ import annotations

import json
import os
import signal
from typing import NoReturn

from ocibuild.errors import SandboxError
from ocibuild.sandbox import syscalls
from ocibuild.sandbox.identity import enter
from ocibuild.sandbox.program import explain
from ocibuild.sandbox.specs import STEP_NAMESPACES

_LONGEST = 1 << 14
_DOCTOR = "`ocibuild doctor` tells what to change"


def refuse_where_steps_are_refused() -> None:
    """Raise SandboxError where a step would not get its namespaces and mounts in those that ``enter()`` enters.

    To be called while there is one thread, of which nothing changes.
    """
    if not _is_doubtful():
        return
    said, say = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _try_and_exit(say)
    os.close(say)
    with open(said, "rb") as file:
        refusal = file.read(_LONGEST)
    os.waitpid(child, 0)
    if refusal:
        message, remedy = json.loads(refusal)
        raise SandboxError(message, remedy=remedy)


def _try_and_exit(say: int) -> NoReturn:
    try:
        try:
            enter()
            _try_step(say)
        except SandboxError as error:
            _tell(say, error)
        except OSError as error:
            _tell(say, _refusal(error))
    finally:
        os._exit(0)


def _try_step(say: int) -> None:
    """Do what every step does first; raise OSError where not even its namespaces are to be had."""
    pid, _ = syscalls.clone(STEP_NAMESPACES, exit_signal=signal.SIGCHLD)
    if pid == 0:
        try:
            _try_namespaces()
        except OSError as error:
            _tell(say, _refusal(error))
        finally:
            os.close(say)  # the end of its namespaces takes longer, and nobody waits for that
            os._exit(0)


def _try_namespaces() -> None:
    """In namespaces of its own, do what a step does: mount /proc, and pivot to another root."""
    for kind in ("proc", "tmpfs"):
        mount = syscalls.new_mount(kind, [])
        syscalls.move_mount(mount, "/proc")
        os.close(mount)
    os.chdir("/proc")
    syscalls.pivot_root(".", ".")


def _refusal(error: OSError) -> SandboxError:
    return SandboxError(f"this machine refuses a step its own namespaces and mounts: {explain(error)}", remedy=_DOCTOR)


def _tell(say: int, error: SandboxError) -> None:
    os.write(say, json.dumps([error.message, error.remedy]).encode())


def _is_doubtful() -> bool:
    """Tell whether somebody has a say in our system calls, or covers parts of /proc: as a container's runtime does."""
    try:
        with open("/proc/self/status", "rb") as status, open("/proc/self/mountinfo", "rb") as mounts:
            return b"\nSeccomp:\t0\n" not in status.read() or b" /proc/" in mounts.read()
    except OSError:
        return True
