"""Answers the system calls of one step's processes, one after the other."""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING

from ocibuild.sandbox.seccomp.numbers import ABIS
from ocibuild.sandbox.supervisor import attributes, identities, looking, making, owners
from ocibuild.sandbox.supervisor.calls import NATIVE, names_of
from ocibuild.sandbox.supervisor.credentials import Book, Refused
from ocibuild.sandbox.supervisor.desk import Desk
from ocibuild.sandbox.supervisor.processes import Processes
from ocibuild.sandbox.supervisor.views import Elsewhere

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocibuild.sandbox.supervisor.credentials import Credentials
    from ocibuild.sandbox.supervisor.desk import Answer
    from ocibuild.sandbox.supervisor.notifications import Listener, Notification
    from ocibuild.sandbox.supervisor.views import View

_ANSWERS: Mapping[str, Answer] = {
    **owners.ANSWERS,
    **making.ANSWERS,
    **looking.ANSWERS,
    **attributes.ANSWERS,
    **identities.ANSWERS,
}


class Supervisor:
    """Attends to a listener, in a process of its own.

    ``proc`` is a directory of /proc for this process's PID namespace, ``view`` how it comes to the step's files, and
    ``first`` who the step's first process is. ``spared`` is a process that is none of the step's, though it has their
    filter.
    """

    def __init__(
        self, listener: Listener, proc: int, view: View, first: Credentials, *, spared: int | None = None
    ) -> None:
        self._listener = listener
        self._spared = spared
        self._desk = Desk(listener, Processes(proc, Book(first)), view)
        self._answers = _by_number(os.uname().machine)
        os.umask(0)  # that of the process counts

    def fileno(self) -> int:
        """Return the descriptor that is readable where a call waits."""
        return self._listener.fileno()

    def attend(self) -> bool:
        """Answer one call."""
        call = self._listener.receive()
        if call is None:
            return True
        if call.pid == self._spared:
            self._listener.proceed(call)
            return True
        try:
            self._answers[call.architecture, call.number](self._desk, call)
        except Refused as refused:
            self._listener.fail(call, refused.number)
        except Elsewhere:
            self._listener.proceed(call)
        except OSError as error:
            self._listener.fail(call, error.errno or errno.EIO)
        except (ValueError, OverflowError, struct.error):  # a number that no call takes, nor can be told
            self._listener.fail(call, errno.EINVAL)
        return True


def _by_number(machine: str) -> dict[tuple[int, int], Answer]:
    """Return the answers by architecture and number of the call.

    Programs for another architecture than the machine's see the owners that files have for the kernel, and times that
    they set take the owner of a symbolic link away.
    """
    native = ABIS[machine][0]
    answers: dict[tuple[int, int], Answer] = {}
    for key, name in names_of(machine).items():
        is_foreign = name in NATIVE and key != (native.audit_arch, native.number(name))
        answers[key] = _leave_to_the_kernel if is_foreign else _ANSWERS[name]
    return answers


def _leave_to_the_kernel(desk: Desk, call: Notification) -> None:
    desk.listener.proceed(call)
