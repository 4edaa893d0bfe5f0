"""How a step's process comes under supervision: it installs the filter, and hands its listener to the supervisor."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

from ocibuild.sandbox.supervisor.credentials import Credentials
from ocibuild.sandbox.supervisor.notifications import Listener
from ocibuild.sandbox.supervisor.processes import begin_with_first_credentials
from ocibuild.sandbox.supervisor.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.sandbox.supervisor.views import View
    from ocibuild.sandbox.users import User

_LONGEST = 1 << 20  # bytes of a message: a user may be in 65,536 groups


def submit(listener: int, connection: socket.socket, user: User) -> None:
    """Hand over the listener of this process's filter, and who it is to be: before any call that is notified."""
    begin_with_first_credentials()
    message = json.dumps([user.uid, user.gid, user.groups]).encode()
    socket.send_fds(connection, [message], [listener])


def supervisor_of(connection: socket.socket, proc: int, view: Callable[[], View]) -> Supervisor | None:
    """Take what ``submit()`` hands over; None where the process ended before it came to that.

    ``proc`` is a directory of /proc for this process's PID namespace. ``view`` is asked for once the step has its root.
    """
    message, descriptors, _, _ = socket.recv_fds(connection, _LONGEST, 1, socket.MSG_CMSG_CLOEXEC)
    if not descriptors:
        return None
    uid, gid, groups = json.loads(message)
    return Supervisor(Listener(descriptors[0]), proc, view(), Credentials.of(uid, gid, tuple(groups)))
