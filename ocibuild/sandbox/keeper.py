"""The keeper: a step's parent, which sees to it that nothing of the step outlives it where no PID namespace does.

The spawner forks one for each such step. What the step starts and loses becomes the keeper's child, in whatever session
or group it is. The step is over when its first process has ended, when the builder closes the channel or dies, when the
spawner dies, or on SIGTERM; all that is left is killed then, and only after that the end is told. Being in a session of
its own, the keeper outlives what is done to the builder's process group. It has one thread and one loop, which attends
to other descriptors too.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from ocibuild.sandbox import syscalls
from ocibuild.sandbox.channel import shell_status, tell
from ocibuild.sandbox.descendants import end_descendants, has_children, signal_below

if TYPE_CHECKING:
    from collections.abc import Callable

_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Attended(Protocol):
    """Something that the keeper's loop looks after while a step runs."""

    def fileno(self) -> int:
        """Return the descriptor that is waited for."""

    def attend(self) -> bool:
        """Do what there is to do, without waiting, now that it can be read; False where there will be no more."""


class Child(Protocol):
    """What starts a step's process, and leaves its streams to it."""

    def __call__(self, keeper: Keeper, /) -> tuple[int, int]:
        """Return the process and a descriptor of it; raise OSError."""


class Keeper:
    """Keeps one step."""

    def __init__(self, channel: socket.socket, *, depth: int) -> None:
        self._channel = channel
        self._depth = depth
        self._poll = select.poll()
        self._attended: dict[int, Callable[[], bool]] = {}
        self._ends: list[Callable[[], None]] = []
        self._told_to_end = False
        self._status: int | None = None
        self._leash: socket.socket | None = None

    def conclude(self, status: int) -> None:
        """Take the step for ended, with this status as a shell shows it, whatever its first process still does."""
        self._status = status
        self._told_to_end = True

    def hold(self, leash: socket.socket) -> None:
        """Have the step on a leash: all of it ends when nobody has the other end of that any more.

        Its exit is told when its first process ends, and what that leaves behind may go on.
        """
        self._leash = leash
        self._add(leash.fileno(), self._be_let_go)

    def attend(self, one: Attended) -> None:
        """Look after something more, from now on until the step's first process ends."""
        self._add(one.fileno(), one.attend)

    def end_too(self, end: Callable[[], None]) -> None:
        """Have ``end()`` called once the step's first process has ended, before that is told."""
        self._ends.append(end)

    def keep(self, start: Child, spawner: int) -> None:
        """Start the step, wait for its end, and end what is left of it."""
        self._prepare(spawner)
        try:
            first, process = start(self)
        except OSError as error:
            tell(self._channel, {"error": f"the kernel refuses a step: {error.strerror}", "remedy": None})
            return
        self._add(self._channel.fileno(), lambda: self._obey(first, process))
        while not self._has_ended(first):
            if self._told_to_end:
                _end(first, process)
            self._look_after(None)
        self._look_after(0)  # its last words may have come with its end
        if self._leash is None or self._told_to_end:
            _end(first, process)  # its group, whose number is not given to another while it is not reaped
        _, status = os.waitpid(first, 0)
        for end in self._ends:
            end()
        said = {"exit": shell_status(status) if self._status is None else self._status}
        if self._leash is not None and not self._told_to_end:
            tell(self._channel, said)
            with suppress(OSError):
                self._channel.shutdown(socket.SHUT_RDWR)
            self._outlast()
        end_descendants()
        tell(self._channel, said)

    def _outlast(self) -> None:
        """Wait until nothing is left of the step, or it is to end; nobody is at the other end of its channel."""
        with suppress(KeyError):  # it may have been so before
            self._poll.unregister(self._channel.fileno())
        while not self._told_to_end and has_children():
            self._look_after(None)

    def _look_after(self, timeout: int | None) -> None:
        """Attend to what can be read, waiting for it at most so many milliseconds; forget what has come to its end."""
        for fd, event in self._poll.poll(timeout):
            if not event & select.POLLIN or not self._attended[fd]():
                self._poll.unregister(fd)

    def _add(self, fd: int, attend: Callable[[], bool]) -> None:
        self._attended[fd] = attend
        self._poll.register(fd, select.POLLIN)

    def _prepare(self, spawner: int) -> None:
        os.setsid()
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in _ENDING:
            signal.signal(number, self._be_told)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # it only has to wake us
        self._add(woken, lambda: bool(os.read(woken, 512)))
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != spawner:  # it died before we could hear of it
            self._told_to_end = True

    def _be_told(self, _number: int, _frame: object) -> None:
        self._told_to_end = True

    def _be_let_go(self) -> bool:
        self._told_to_end = True
        return False

    def _obey(self, first: int, process: int) -> bool:
        """Pass on a signal; end the step where the builder has closed the channel."""
        try:
            number = self._channel.recv(1)
        except ConnectionResetError:
            number = b""
        if not number:
            _end(first, process)
        elif self._depth:
            signal_below(first, self._depth, number[0])
        else:  # by no number: in namespaces /proc has others
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, number[0])
        return bool(number)

    def _has_ended(self, first: int) -> bool:
        """Reap what the step has lost; tell whether its first process has ended, which is left to be reaped."""
        while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if found.si_pid == first:
                return True
            os.waitpid(found.si_pid, 0)
        return False


def _end(first: int, process: int) -> None:
    """Kill a step's first process and the group that it leads."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(first, signal.SIGKILL)
    with suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(process, signal.SIGKILL)
