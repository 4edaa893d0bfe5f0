"""A process that is there before its step: forked when another has ended, and waiting for a request.

What takes longest before a program runs is the making of its process; the next step finds that done.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from ocibuild.sandbox import syscalls
from ocibuild.sandbox.channel import close_inherited
from ocibuild.sandbox.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable


class Spare:
    """The end of whoever forked it; ``give()`` it a request, or ``end()`` it."""

    def __init__(self, kind: object, pid: int, pidfd: int, line: socket.socket) -> None:
        self.kind = kind
        self.pid = pid
        self._pidfd = pidfd
        self._line = line

    @classmethod
    def fork(cls, kind: object, namespaces: int, wait: Callable[[socket.socket], None]) -> Spare:
        """Fork one into namespaces, in a process with one thread, to ``wait`` at the end of a line; raise OSError.

        ``kind`` tells the steps that it is for from others.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                pid, pidfd = syscalls.clone(namespaces, exit_signal=signal.SIGCHLD)
            except OSError:
                ours.close()
                raise
            if pid == 0:
                _wait_and_exit(wait, theirs)
        return cls(kind, pid, pidfd, ours)

    @property
    def has_ended(self) -> bool:
        """Whether somebody killed it."""
        return os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def give(self, request: Request) -> tuple[int, int] | None:
        """Have it do what a request asks for; return its number and a descriptor of it, None where it is gone."""
        try:
            request.send(self._line)
        except OSError:
            self.end()
            return None
        self._line.close()
        return self.pid, self._pidfd

    def end(self) -> None:
        """Have it end, and wait for that."""
        self._line.close()
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        os.close(self._pidfd)


def await_request(line: socket.socket, unused: Callable[[], None] = lambda: None) -> Request:
    """Wait for what ``give()`` sends; where nothing comes any more, call ``unused()`` and end this process."""
    request = Request.receive(line)
    line.close()
    if request is None:
        unused()
        os._exit(0)
    return request


def _wait_and_exit(wait: Callable[[socket.socket], None], line: socket.socket) -> NoReturn:
    try:
        close_inherited({line.fileno()})
        wait(line)
    finally:
        os._exit(1)
