"""The spawner: the one process that forks, started before there is any thread, and told over a socket what to run.

It is the first process of a PID namespace, so that when it ends, however that happens, the kernel ends every step with
it; and it is killed when the builder dies. A request carries the step's spec (JSON in a memory file), its standard
streams and a channel of its own. Over the channel come the step's messages, each a JSON object: ``created`` once the
root is made, ``error`` where the process could not be started, ``exit`` at the end. Closing it kills the step.
"""

from __future__ import annotations

import array
import json
import os
import select
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from ocibuild.errors import SandboxError
from ocibuild.sandbox import syscalls
from ocibuild.sandbox.step import StepSpec, become

if TYPE_CHECKING:
    from collections.abc import Sequence

_MESSAGE_LIMIT = 1 << 20
_DESCRIPTORS = 5  # spec, channel, standard input, output and error


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: ``exit_status`` as a shell shows it, and the mount targets that were made in its tree."""

    exit_status: int
    created: tuple[str, ...]


class Running:
    """A step that was started; ``wait()`` or ``kill()`` it, then ``close()``."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def wait(self) -> Outcome:
        """Wait for the end; raise SandboxError where the process could not be started."""
        created: tuple[str, ...] = ()
        while data := self._channel.recv(_MESSAGE_LIMIT):
            message = json.loads(data)
            if "error" in message:
                raise SandboxError(message["error"], remedy=message["remedy"])
            if "exit" in message:
                return Outcome(message["exit"], created)
            created = tuple(message["created"])
        raise SandboxError("the step was killed from outside", remedy="see whether the machine is out of memory")

    def kill(self) -> None:
        """End the step and everything it started; safe to repeat and from another thread."""
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of the step, killing it where it still runs."""
        self._channel.close()


class Spawner:
    """The builder's end: starts steps, from any thread."""

    def __init__(self, control: socket.socket, pid: int) -> None:
        self._control = control
        self._pid = pid

    @classmethod
    def start(cls) -> Spawner:
        """Fork the spawner; to be called while this process has one thread."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid, pidfd = syscalls.clone(syscalls.CLONE_NEWPID, exit_signal=signal.SIGCHLD)
        if pid == 0:
            _serve_and_exit(ours, theirs)
        os.close(pidfd)
        theirs.close()
        return cls(ours, pid)

    def run(self, spec: StepSpec, *, stdin: int, stdout: int, stderr: int) -> Running:
        """Start a step with these descriptors as its standard streams; they stay the caller's."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = os.memfd_create("step", os.MFD_CLOEXEC)
        try:
            with open(request, "wb", closefd=False) as file:
                file.write(spec.to_json())
            descriptors = array.array("i", [request, theirs.fileno(), stdin, stdout, stderr])
            self._control.sendmsg([b"r"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        except BaseException:
            ours.close()
            raise
        finally:
            os.close(request)
            theirs.close()
        return Running(ours)

    def close(self) -> None:
        """End the spawner, and every step with it."""
        self._control.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


@dataclass(frozen=True, slots=True)
class _Child:
    pid: int
    pidfd: int
    channel: socket.socket


def _serve_and_exit(ours: socket.socket, theirs: socket.socket) -> NoReturn:
    try:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        ours.close()
        # the builder decides what an interrupt means for the steps
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _serve(theirs)
    finally:
        os._exit(0)


def _serve(control: socket.socket) -> None:
    poll = select.poll()
    poll.register(control, select.POLLIN)
    children: dict[int, _Child] = {}  # by pidfd and by channel
    while True:
        for fd, _ in poll.poll():
            if fd == control.fileno():
                request = _receive(control)
                if request is None:
                    return
                child = _start(*request)
                if child is None:
                    continue
                for key in (child.pidfd, child.channel.fileno()):
                    children[key] = child
                    poll.register(key, select.POLLIN)
            elif fd in children:
                _attend(children, fd, poll)


def _attend(children: dict[int, _Child], fd: int, poll: select.poll) -> None:
    child = children.pop(fd)
    poll.unregister(fd)
    if fd != child.pidfd:  # the builder closed the channel: it wants no more of this step
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
        return
    _, status = os.waitpid(child.pid, 0)
    os.close(child.pidfd)
    with suppress(OSError):
        child.channel.send(json.dumps({"exit": shell_status(status)}).encode())
    if children.pop(child.channel.fileno(), None):
        poll.unregister(child.channel.fileno())
    child.channel.close()


def _receive(control: socket.socket) -> tuple[StepSpec, socket.socket, list[int]] | None:
    """Take one request: the spec, the channel and the standard streams; return None when the builder is gone."""
    room = socket.CMSG_SPACE(_DESCRIPTORS * array.array("i").itemsize)
    data, ancillary, _, _ = control.recvmsg(16, room, socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    descriptors = array.array("i")
    for _, _, content in ancillary:
        descriptors.frombytes(content)
    request, channel, *standard = descriptors
    with open(request, "rb") as file:
        file.seek(0)
        spec = StepSpec.from_json(file.read())
    return spec, socket.socket(fileno=channel), standard


def _start(spec: StepSpec, channel: socket.socket, standard: list[int]) -> _Child | None:
    """Fork the step; return None, and tell the channel, where the kernel refuses its namespaces."""
    try:
        pid, pidfd = syscalls.clone(spec.namespaces, exit_signal=signal.SIGCHLD)
        if pid == 0:
            become(spec, standard, channel)
        return _Child(pid, pidfd, channel)
    except OSError as error:
        refusal = {"error": f"the kernel refuses a step's namespaces: {error.strerror}", "remedy": None}
        channel.send(json.dumps(refusal).encode())
        channel.close()
        return None
    finally:
        _close_all(standard)


def _close_all(descriptors: Sequence[int]) -> None:
    for fd in descriptors:
        os.close(fd)


def shell_status(status: int) -> int:
    """Return a wait(2) status as a shell shows it: 128 + N for signal N."""
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
