"""How a step's process comes under supervision: it installs the filter, and hands its listener to the supervisor."""

from __future__ import annotations

import errno
import json
import os
import socket
from functools import cache
from typing import TYPE_CHECKING

from ocibuild.sandbox.channel import receive
from ocibuild.sandbox.seccomp import compile_rules, install
from ocibuild.sandbox.seccomp.profile import NEWEST
from ocibuild.sandbox.supervisor.calls import pretending_rules, rules_of
from ocibuild.sandbox.supervisor.credentials import Credentials
from ocibuild.sandbox.supervisor.notifications import Listener
from ocibuild.sandbox.supervisor.processes import begin_with_first_credentials
from ocibuild.sandbox.supervisor.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.sandbox.seccomp import Rule
    from ocibuild.sandbox.supervisor.views import View
    from ocibuild.sandbox.users import User

_MACHINE = os.uname().machine
_LONGEST = 1 << 20  # bytes of a message: a user may be in 65,536 groups


def prepare(further: tuple[Rule, ...], *, capabilities: bool = False) -> None:
    """Make the filter of ``submit()``, for the process that forks those who submit: it is made once then."""
    _program((*rules_of(_MACHINE, capabilities=capabilities), *further))


def submit(
    connection: socket.socket, user: User, further: tuple[Rule, ...] = (), *, capabilities: bool = False
) -> bool:
    """Bring this process under supervision, as ``user``, with a filter that has ``further`` rules too.

    ``capabilities`` says that those of programs can be no more than recorded.

    Where the kernel has no notification, or somebody else listens already, its calls only look done: then return False.
    Raises PermissionError where this process may install no filter.
    """
    begin_with_first_credentials()  # the filter has such a call look done
    try:
        listener = install(_program((*rules_of(_MACHINE, capabilities=capabilities), *further)), listener=True)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EINVAL, errno.ENOSYS):
            raise
        install(_program((*pretending_rules(), *further)))
        return False
    assert listener is not None
    message = json.dumps([user.uid, user.gid, user.groups]).encode()
    socket.send_fds(connection, [message], [listener])
    return True


@cache
def _program(rules: tuple[Rule, ...]) -> bytes:
    return compile_rules(rules, machine=_MACHINE, newest=NEWEST)


class Arrival:
    """Waits for what ``submit()`` hands over at the other end of ``connection``, and has a supervisor attended then.

    ``proc`` is a directory of /proc for this process's PID namespace. ``view`` is asked for once the step has its root.
    ``spared`` is as for Supervisor.
    """

    def __init__(
        self,
        connection: socket.socket,
        proc: int,
        view: Callable[[], View],
        attend: Callable[[Supervisor], None],
        *,
        spared: int | None = None,
    ) -> None:
        self._spared = spared
        self._connection = connection
        self._proc = proc
        self._view = view
        self._attend = attend

    def fileno(self) -> int:
        """Return the descriptor that is readable when it is there."""
        return self._connection.fileno()

    def attend(self) -> bool:
        """Take it, or find that the process could not be started."""
        message, descriptors = receive(self._connection, _LONGEST, 1)
        if descriptors:
            uid, gid, groups = json.loads(message)
            first = Credentials.of(uid, gid, tuple(sorted(groups)))
            listener = Listener(descriptors[0])
            self._attend(Supervisor(listener, self._proc, self._view(), first, spared=self._spared))
        return False
