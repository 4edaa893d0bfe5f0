"""The spawner's own process: takes requests, and tells how steps end."""

from __future__ import annotations

import gc
import os
import select
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from ocibuild.sandbox import syscalls
from ocibuild.sandbox.channel import close_inherited, shell_status, tell
from ocibuild.sandbox.descendants import end_descendants
from ocibuild.sandbox.request import Request
from ocibuild.sandbox.starting import Starter
from ocibuild.sandbox.step import prepare

if TYPE_CHECKING:
    import socket

    from ocibuild.sandbox.starting import Child


def serve(control: socket.socket) -> None:
    """Serve the builder at the other end of ``control``, in a process forked for it, until it is gone."""
    gc.disable()  # what the builder left to be collected holds descriptors that are closed here, and used again
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)  # should a keeper die, we get what it kept
    close_inherited({control.fileno()})
    prepare()
    _Server(control).serve()


class _Server:
    """Starts what is asked for over ``control``, and sees to its end; ``_children`` are by pidfd and by channel."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._starter = Starter()
        self._children: dict[int, Child] = {}
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Do so until the builder is gone."""
        while True:
            # the control socket, registered first, comes first: no number in this list is used again before its turn
            for fd, _ in self._poll.poll():
                if fd in self._children:
                    self._attend(self._children[fd], fd)
                elif fd == self._control.fileno():
                    try:
                        request = Request.receive(self._control)
                    except OSError:  # its channel was told, or is closed
                        continue
                    if request is None:
                        self._end_keepers()
                        self._starter.close()
                        return
                    self._admit(request)

    def _admit(self, request: Request) -> None:
        """Start a step, or tell its channel that this is not possible."""
        try:
            child = self._starter.start(request, list(self._children.values()))
        except OSError as error:
            request.refuse(error)
            return
        finally:
            request.close()
        if child is None:
            return
        for key in child.descriptors:
            self._children[key] = child
            self._poll.register(key, select.POLLIN)

    def _attend(self, child: Child, fd: int) -> None:
        if child.channel is None:
            self._bury_keeper(child)
        elif fd == child.pidfd:
            self._bury(child, child.channel)
        else:
            self._obey(child, child.channel)
            return
        self._starter.be_ready()  # while the builder looks at what the step did

    def _obey(self, child: Child, channel: socket.socket) -> None:
        """Pass on a signal; end the step where the builder has closed the channel, as it wants no more of it."""
        number = channel.recv(1)
        with suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(child.pidfd, number[0] if number else signal.SIGKILL)
        if not number:
            self._forget(channel.fileno())

    def _bury(self, child: Child, channel: socket.socket) -> None:
        """Tell how a step ended, and forget it."""
        status = self._reap(child)
        tell(channel, {"exit": shell_status(status)})
        if channel.fileno() in self._children:
            self._forget(channel.fileno())
        channel.close()

    def _bury_keeper(self, keeper: Child) -> None:
        """Forget a keeper; where it was killed, end what it kept."""
        if self._reap(keeper):
            end_descendants([*self._pids(), *self._starter.waiting])

    def _reap(self, child: Child) -> int:
        _, status = os.waitpid(child.pid, 0)
        self._forget(child.pidfd)
        os.close(child.pidfd)
        if child.connector is not None:
            child.connector.end()
        if child.first is not None:
            child.first.close()
        return status

    def _forget(self, fd: int) -> None:
        del self._children[fd]
        self._poll.unregister(fd)

    def _pids(self) -> list[int]:
        return [child.pid for child in self._children.values()]

    def _end_keepers(self) -> None:
        """Have the keepers end their steps, and wait for them; other steps end with us."""
        keepers = [child for child in self._children.values() if child.channel is None]
        for keeper in keepers:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(keeper.pidfd, signal.SIGTERM)
        for keeper in keepers:
            os.waitpid(keeper.pid, 0)
