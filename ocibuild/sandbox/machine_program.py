"""A step's process that is a program of the machine, run as it is: one that shows a root to others, such as proot."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from ocibuild.sandbox import syscalls
from ocibuild.sandbox.channel import tell
from ocibuild.sandbox.program import Command, execute
from ocibuild.sandbox.step import begin, lead_session, reset_signals, take_streams
from ocibuild.sandbox.terminal import take_terminal
from ocibuild.sandbox.ulimits import take_ulimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.sandbox.request import Request
    from ocibuild.sandbox.seccomp import Rule
    from ocibuild.sandbox.specs import ProgramSpec


class StatusReport:
    """The reading end of a step's report; for a keeper's loop."""

    def __init__(self, path: str, conclude: Callable[[int], None]) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)  # for writing too: so it has no end
        self._conclude = conclude

    def fileno(self) -> int:
        """See Attended."""
        return self._fd

    def attend(self) -> bool:
        """See Attended."""
        said = os.read(self._fd, 64).strip()
        if said.isdigit() and int(said) < 256:
            self._conclude(int(said))
        return True

    def remove(self) -> None:
        """Remove the FIFO: whoever runs long may have many more steps beside it."""
        with suppress(OSError):
            os.unlink(self._path)


def become_program(spec: ProgramSpec, request: Request) -> NoReturn:
    """Become the program of ``spec``; see ``become()``."""
    begin(lambda: _try_to_become(spec, request), request.channel)


def _try_to_become(spec: ProgramSpec, request: Request) -> None:
    channel, supervisor = request.channel, request.outside.supervisor
    lead_session()
    take_streams(request.standard)
    rules = further_rules(spec)
    os.chdir(spec.working_dir)
    if spec.terminal:
        take_terminal(channel, spec.size)
    take_ulimits(spec.ulimits, numbered=supervisor is not None)
    tell(channel, {"created": []})
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    if supervisor is None or spec.believes is None:
        from ocibuild.sandbox.seccomp import compile_rules, install

        install(compile_rules(rules, machine=os.uname().machine))
    else:
        from ocibuild.sandbox.supervisor.handover import submit

        if not submit(supervisor, spec.believes, rules, capabilities=True):
            tell(channel, {"pretended": True})
    reset_signals()
    execute(Command(spec.path, spec.args, spec.env))


def further_rules(spec: ProgramSpec) -> tuple[Rule, ...]:
    """Return the rules for system calls that such a program has, beside those of its supervisor where it has one."""
    from ocibuild.sandbox.seccomp import Rule, equal_int, refuse  # not for commands that run nothing

    return (
        Rule(tuple(spec.unknown), refuse(errno.ENOSYS)),
        Rule(("seccomp",), refuse(errno.EINVAL)),
        Rule(("prctl",), refuse(errno.EINVAL), (equal_int(0, syscalls.PR_SET_SECCOMP),)),
    )
