"""One more process in a step that runs: how a freshly forked child joins its namespaces, and becomes it.

What is in there already may be hostile, and sees this process before it is the program that was asked for. It must
not get hold of our interpreter, a file of this machine (CVE-2019-5736): it may not look into a process that can do more
than itself, nor into one that is not dumpable (ptrace(2), "Ptrace access mode checking"), and should it have a script
run that names /proc/self/exe, that is a sealed copy in memory, from which the child starts anew before it goes in.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from ocibuild.sandbox import syscalls
from ocibuild.sandbox.accounts import user_of_image
from ocibuild.sandbox.privileges import drop_capabilities, last_capability, take_ids, take_real_ids
from ocibuild.sandbox.program import execute, find_command
from ocibuild.sandbox.specs import EntrySpec, StepSpec
from ocibuild.sandbox.step import (
    begin,
    lead_session,
    open_waiting_for_nothing,
    prepare,
    reset_signals,
    restrict_calls,
    take_streams,
    tell_that_root_is_made,
)
from ocibuild.sandbox.terminal import give_terminal, take_terminal
from ocibuild.sandbox.ulimits import take_ulimits

if TYPE_CHECKING:
    from ocibuild.sandbox.request import Request

_MFD_EXEC = 0x10
_PATIENCE = 1.0
_PAUSE = 0.005
_PROGRAM = """\
import sys
sys.path.append(sys.argv[1])
from ocibuild.sandbox.entering import go_in
go_in(*map(int, sys.argv[2:]))
"""


def fork_into(step: StepSpec, first: int, spec: EntrySpec, request: Request) -> tuple[int, int]:
    """Fork the process of ``spec`` into the PID namespace of a step; return its number and a descriptor of it.

    ``first`` is a descriptor of the step's first process. Raises OSError, EINVAL before Linux 5.8.
    """
    own = os.pidfd_open(os.getpid())
    try:
        _go_below(first)
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)  # which the child is not either
        try:
            forked = syscalls.clone(0, exit_signal=signal.SIGCHLD)
            if forked[0] == 0:
                begin(lambda: _start_anew(step, first, spec, request), request.channel)
        finally:
            syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
            syscalls.setns(own, syscalls.CLONE_NEWPID)
    finally:
        os.close(own)
    return forked


def _go_below(first: int) -> None:
    """Have further children in the PID namespace of a process; raise OSError.

    Between its change of user and its program the kernel lets nobody into those of a process.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            syscalls.setns(first, syscalls.CLONE_NEWPID)
        except PermissionError:
            if time.monotonic() > until:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _start_anew(step: StepSpec, first: int, spec: EntrySpec, request: Request) -> None:
    """Become Python once more, from a copy of it that nobody can change, to go on in ``go_in()``."""
    import ocibuild

    take_streams(request.standard)
    order = os.memfd_create("entry", os.MFD_CLOEXEC)
    os.write(order, json.dumps([json.loads(step.to_json()), json.loads(spec.to_json())]).encode())
    supervisor = request.outside.supervisor
    given = [request.channel.fileno(), first, order, *([supervisor.fileno()] if supervisor else [])]
    for fd in given:
        os.set_inheritable(fd, True)
    package = os.path.dirname(os.path.dirname(ocibuild.__file__))
    libraries = os.path.dirname(os.path.dirname(os.__file__))  # where Python has its own: the copy has no $ORIGIN
    args = [sys.executable, "-I", "-S", "-c", _PROGRAM, package, *map(str, given)]
    os.execve(_copy_of_this_program(), args, {"LD_LIBRARY_PATH": libraries})


def _copy_of_this_program() -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        copy = os.memfd_create("python", flags | _MFD_EXEC)
    except OSError:  # before Linux 6.3 all are
        copy = os.memfd_create("python", flags)
    program = os.open("/proc/self/exe", os.O_RDONLY | os.O_CLOEXEC)
    while os.sendfile(copy, program, None, 1 << 30):
        pass
    os.close(program)
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(copy, fcntl.F_ADD_SEALS, seals)
    return copy


def go_in(channel: int, first: int, order: int, supervisor: int | None = None) -> NoReturn:
    """Go where the first process of a step is, and become what was asked for; the numbers are of descriptors."""
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)  # execve(2) has made us so again
    syscalls.take_name("exec")  # anybody may read a command line, and it has paths of the machine
    for fd in (channel, first, order, *([] if supervisor is None else [supervisor])):
        os.set_inheritable(fd, False)
    line = socket.socket(fileno=channel)
    submits = None if supervisor is None else socket.socket(fileno=supervisor)
    step, spec = json.loads(os.pread(order, os.fstat(order).st_size, 0))
    begin(lambda: _try_to_go_in(StepSpec.load(step), first, EntrySpec.load(spec), line, submits), line)


def _try_to_go_in(
    step: StepSpec, first: int, spec: EntrySpec, channel: socket.socket, supervisor: socket.socket | None
) -> None:
    prepare()
    if supervisor is not None:
        import ocibuild.sandbox.supervisor.handover  # noqa: F401  (in there is no standard library to import from)

    lead_session()
    last = last_capability()
    # our PID namespace is the step's already
    syscalls.setns(first, step.namespaces & ~syscalls.CLONE_NEWPID)
    user = user_of_image(spec.user, open_waiting_for_nothing)
    if spec.terminal:
        take_terminal(channel, spec.size)
        give_terminal(user.uid)
    if step.foreign and step.foreign.handlers:
        syscalls.setns(first, syscalls.CLONE_NEWUSER)
    if supervisor is None:
        take_real_ids(user, extra_groups=step.extra_groups)
    emulator = step.foreign and step.foreign.emulator
    command = find_command(
        spec.args,
        spec.env,
        home=user.home,
        working_dir=spec.working_dir,
        emulator=emulator,
        makes_directory=False,
    )
    take_ulimits(step.ulimits, numbered=supervisor is not None)
    restrict_calls(step, channel, supervisor, user)
    drop_capabilities(last)
    take_ids(user)
    reset_signals()
    tell_that_root_is_made(channel, [])
    execute(command, foreign=step.foreign)
