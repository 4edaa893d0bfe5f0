"""The spawner's own process: takes requests, and tells how steps end."""

from __future__ import annotations

import gc
import os
import select
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from ocibuild.sandbox import syscalls
from ocibuild.sandbox.channel import close_inherited, shell_status, tell
from ocibuild.sandbox.descendants import end_descendants
from ocibuild.sandbox.request import Request
from ocibuild.sandbox.starting import Starter
from ocibuild.sandbox.step import prepare

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from ocibuild.sandbox.starting import Child


def serve_and_exit(control: socket.socket) -> NoReturn:
    """Serve the builder at the other end of ``control``, in a process forked for it, until it is gone."""
    try:
        gc.disable()  # what the builder left to be collected holds descriptors that are closed here, and used again
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)  # should a keeper die, we get what it kept
        close_inherited({control.fileno()})
        # the builder decides what an interrupt means for the steps
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        prepare()
        _serve(control)
    finally:
        os._exit(0)


def _serve(control: socket.socket) -> None:
    poll = select.poll()
    poll.register(control, select.POLLIN)
    children: dict[int, Child] = {}  # by pidfd and by channel
    starter = Starter()
    while True:
        # the control socket, registered first, comes first: no number in this list is used again before its turn
        for fd, _ in poll.poll():
            if fd in children:
                _attend(children, fd, poll, starter)
            elif fd == control.fileno():
                try:
                    request = Request.receive(control)
                except OSError:  # its channel was told, or is closed
                    continue
                if request is None:
                    _end_keepers(children.values())
                    starter.close()
                    return
                child = _admit(request, starter, children.values())
                if child is not None:
                    for key in child.descriptors:
                        children[key] = child
                        poll.register(key, select.POLLIN)


def _attend(children: dict[int, Child], fd: int, poll: select.poll, starter: Starter) -> None:
    child = children[fd]
    if child.channel is None:
        _bury_keeper(children, child, poll, starter)
        return
    if fd == child.pidfd:
        _bury(children, child, child.channel, poll)
        starter.be_ready()  # while the builder looks at what the step did
        return
    number = child.channel.recv(1)
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(child.pidfd, number[0] if number else signal.SIGKILL)
    if not number:  # the builder closed the channel: it wants no more of this step
        del children[fd]
        poll.unregister(fd)


def _bury(children: dict[int, Child], child: Child, channel: socket.socket, poll: select.poll) -> None:
    """Tell how a step ended, and forget it."""
    status = _reap(children, child, poll)
    tell(channel, {"exit": shell_status(status)})
    if children.pop(channel.fileno(), None):
        poll.unregister(channel.fileno())
    channel.close()


def _bury_keeper(children: dict[int, Child], keeper: Child, poll: select.poll, starter: Starter) -> None:
    """Forget a keeper; where it was killed, end what it kept."""
    if _reap(children, keeper, poll):
        end_descendants([*(child.pid for child in children.values()), *starter.waiting])
    starter.be_ready()


def _reap(children: dict[int, Child], child: Child, poll: select.poll) -> int:
    _, status = os.waitpid(child.pid, 0)
    del children[child.pidfd]
    poll.unregister(child.pidfd)
    os.close(child.pidfd)
    if child.connector is not None:
        child.connector.end()
    return status


def _end_keepers(children: Iterable[Child]) -> None:
    """Have the keepers end their steps, and wait for them; other steps end with us."""
    keepers = [child for child in children if child.channel is None]
    for keeper in keepers:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(keeper.pidfd, signal.SIGTERM)
    for keeper in keepers:
        os.waitpid(keeper.pid, 0)


def _admit(request: Request, starter: Starter, others: Iterable[Child]) -> Child | None:
    """Start the step; return None, and tell the channel, where that is not possible."""
    try:
        return starter.start(request, [child.pid for child in others])
    except OSError as error:
        request.refuse(error)
        return None
    finally:
        request.close()
