"""Checks of seccomp filters, of their notifications, of ptrace and of Landlock."""

from __future__ import annotations

import errno
import os
import select
import signal
import struct
from typing import TYPE_CHECKING, NoReturn

from ocibuild.executor.probe import remedies
from ocibuild.executor.probe.check import Check, Place
from ocibuild.executor.probe.trial import Refused, attempt
from ocibuild.sandbox import syscalls
from ocibuild.sandbox.seccomp import ALLOW, NOTIFY, install, refuse
from ocibuild.sandbox.supervisor.notifications import Listener

if TYPE_CHECKING:
    from ocibuild.sandbox.seccomp import Action

# a call without arguments that nothing else makes meanwhile, and that never fails by itself
_GETPPID = {"x86_64": 110, "ppc64le": 64, "s390x": 64}
_GETPPID_ELSEWHERE = 173
_ANSWER = 4_242
_PATIENCE = 3_000  # milliseconds


def check_filter(_place: Place) -> Check:
    """Put a seccomp filter in force that refuses a call, and make the call."""
    trial = attempt(_filter)
    return Check("seccomp-filter", trial.passed, trial.seen, "" if trial.passed else remedies.FILTER)


def _filter() -> str:
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    install(_program(refuse(errno.ENOSYS)))
    if os.getppid() >= 0:
        raise Refused("a filter is in force, and changes nothing")
    return "a filter refuses what it should"


def check_notification(_place: Place) -> Check:
    """Answer a system call of another process, and open that process's memory, as a supervisor does."""
    trial = attempt(_notification)
    return Check("seccomp-notification", trial.passed, trial.seen, "" if trial.passed else remedies.NOTIFICATION)


def _notification() -> str:
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    fd = install(_program(NOTIFY), listener=True)
    assert fd is not None
    listener = Listener(fd)
    child = os.fork()
    if child == 0:
        os._exit(0 if os.getppid() == _ANSWER else 1)
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    if not poll.poll(_PATIENCE):
        raise Refused("a listener is given, and is told nothing")
    call = listener.receive()
    if call is None:
        raise Refused("a call is told of, and is gone")
    os.close(os.open(f"/proc/{child}/mem", os.O_RDONLY | os.O_CLOEXEC))
    listener.succeed(call, _ANSWER)
    if os.waitpid(child, 0)[1]:
        raise Refused("a call is answered, and its process gets another answer")
    return "a call of another process is answered, and its memory can be read"


def _program(action: Action) -> bytes:
    """Return a filter that does ``action`` at getppid(2); its four steps are those of seccomp(2)'s example."""
    number = _GETPPID.get(os.uname().machine, _GETPPID_ELSEWHERE)
    steps = ((0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, action), (0x06, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def check_ptrace(place: Place) -> Check:
    """Trace a child, and see it stop and go on."""
    trial = attempt(_trace)
    remedy = "" if trial.passed else remedies.for_ptrace(place.surroundings)
    return Check("ptrace", trial.passed, trial.seen, remedy)


def _trace() -> str:
    child = os.fork()
    if child == 0:
        _be_traced_and_exit()
    # without WUNTRACED only a process that is traced is seen to stop
    _, status = os.waitpid(child, 0)
    if not os.WIFSTOPPED(status):
        raise OSError(os.WEXITSTATUS(status), os.strerror(os.WEXITSTATUS(status)))
    syscalls.ptrace(syscalls.PTRACE_CONT, child)
    os.waitpid(child, 0)
    return "a child is traced, stops and goes on"


def _be_traced_and_exit() -> NoReturn:
    status = errno.EIO
    try:
        syscalls.ptrace(syscalls.PTRACE_TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        status = 0
    except OSError as error:
        status = error.errno or errno.EIO
    finally:
        os._exit(status)


def check_landlock(_place: Place) -> Check:
    """Ask for the version of Landlock's interface."""
    trial = attempt(lambda: str(syscalls.landlock_abi()))
    if not trial.passed:
        return Check("landlock", passed=False, evidence=trial.seen, remedy=remedies.LANDLOCK)
    return Check("landlock", passed=True, evidence=f"ABI {trial.seen}", value=trial.seen)
