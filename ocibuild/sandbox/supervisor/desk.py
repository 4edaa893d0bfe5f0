"""What the answers to system calls are given with: the listener, the processes, and the way to their files."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Protocol

from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from ocibuild.sandbox.supervisor.calls import Place
    from ocibuild.sandbox.supervisor.notifications import Listener, Notification
    from ocibuild.sandbox.supervisor.processes import Processes
    from ocibuild.sandbox.supervisor.views import Path, View


class Desk(NamedTuple):
    """Where calls come to, and what is known of who makes them."""

    listener: Listener
    processes: Processes
    view: View

    def go(self, call: Notification, place: Place) -> Path:
        """Return the way to a file that a call names; raise OSError as the call would, and Elsewhere."""
        path = self.processes.text(call.pid, place.address) if place.address else ""
        if not path and not place.may_be_empty:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        found = self.view.go(call.pid, path, place)
        if not self.listener.is_waiting(call):
            raise OSError(errno.EINTR, os.strerror(errno.EINTR))
        return found


class Answer(Protocol):
    """Answers one call, or lets the kernel; raises Refused, OSError or Elsewhere where it did not."""

    def __call__(self, desk: Desk, call: Notification, /) -> None:
        """Answer it."""
