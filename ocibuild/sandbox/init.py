"""An init for a step: a first process that passes signals on to the step's own, and reaps what that has lost.

A program that does not expect to be the first process of a PID namespace gets no signal there that it does not handle,
and leaves zombies. The one that is before it here is our interpreter, which nobody in there may look into: it has a
capability that they have not (ptrace(2), "Ptrace access mode checking"). It is dumpable all the same, since whoever
enters its namespaces from outside must be allowed just that.
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from ocibuild.sandbox import syscalls
from ocibuild.sandbox.channel import close_inherited, shell_status

_CAP_KILL = 5
_CAP_SYS_PTRACE = 19
_ITS_OWN = {
    *(signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT),
    *(signal.SIGTTIN, signal.SIGTTOU),
}


def fork_below_init(*, terminal: bool) -> None:
    """Stay as the init of what is forked, in which alone this returns: the leader of a group, before the terminal.

    Signals are blocked when it does.
    """
    awaited = signal.valid_signals() - _ITS_OWN
    signal.pthread_sigmask(signal.SIG_BLOCK, [*awaited, signal.SIGTTOU])
    child = os.fork()
    if child:
        _be_init(child, awaited)
    os.setpgid(0, 0)
    if terminal:
        os.tcsetpgrp(0, os.getpgrp())


def _be_init(child: int, awaited: set[signal.Signals]) -> NoReturn:
    try:
        syscalls.limit_capabilities(1 << _CAP_KILL | 1 << _CAP_SYS_PTRACE)
        close_inherited(())
        syscalls.take_name("init")
        while True:
            number = signal.sigwait(awaited)
            if number != signal.SIGCHLD:
                os.kill(child, number)  # reaped by nobody else, so that it still is the child
                continue
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == child:
                    os._exit(shell_status(ended[1]))
    finally:
        os._exit(127)
