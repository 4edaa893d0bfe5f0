"""The spawner: the one process that forks, started before there is any thread, and told over a socket what to run.

It is the first process of a PID namespace, so that when it ends, however that happens, the kernel ends every step with
it; and it is killed when the builder dies. A request carries the step's spec (JSON in a memory file), its standard
streams and a channel of its own. Over the channel come the step's messages, each a JSON object: ``terminal``, with its
other end, where the step has one, ``created`` once the root is made, ``error`` where the process could not be started,
``exit`` at the end. A byte the other way is a signal for the step's first process; closing the channel kills the step.
"""

from __future__ import annotations

import array
import errno
import gc
import json
import os
import select
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from ocibuild.errors import CannotStart, SandboxError
from ocibuild.sandbox import syscalls
from ocibuild.sandbox.pasta import Connector
from ocibuild.sandbox.step import StepSpec, become

if TYPE_CHECKING:
    from collections.abc import Sequence

_MESSAGE_LIMIT = 1 << 16
_DESCRIPTORS = 5  # channel, spec, standard input, output and error


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
        while True:
            message, _ = self._next()
            if "exit" in message:
                return Outcome(message["exit"], created)
            created = tuple(message["created"])

    def terminal(self) -> int:
        """Wait for the other end of the step's terminal, and return it: it is the caller's; before ``wait()``."""
        _, (descriptor,) = self._next()
        return descriptor

    def _next(self) -> tuple[dict[str, Any], list[int]]:
        data, descriptors = self._receive()
        if not data:
            raise SandboxError("the step's process was lost", remedy="see whether the machine is out of memory")
        message = json.loads(data)
        if "error" in message:
            raise CannotStart(message["error"], remedy=message["remedy"], exit_status=message.get("status", 125))
        return message, descriptors

    def _receive(self) -> tuple[bytes, list[int]]:
        try:
            data, descriptors, *_ = socket.recv_fds(self._channel, _MESSAGE_LIMIT, 1, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:  # the spawner died
            return b"", []
        return data, descriptors

    def signal(self, number: int) -> None:
        """Send a signal to the step's first process; like any first process it gets only those that it handles."""
        with suppress(OSError):
            self._channel.send(bytes([number]))

    def kill(self) -> None:
        """End the step and everything it started; safe to repeat and from another thread."""
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of the step once nothing of it runs any more, killing it where it still does."""
        self.kill()
        while (received := self._receive())[0]:
            for descriptor in received[1]:  # a terminal that nobody asked for
                os.close(descriptor)
        self._channel.close()


class Spawner:
    """The builder's end: starts steps, from any thread."""

    def __init__(self, control: socket.socket, pid: int) -> None:
        self._control = control
        self._pid = pid

    @classmethod
    def start(cls) -> Spawner:
        """Fork the spawner; to be called while this process has one thread."""
        _occupy_streams()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid, pidfd = syscalls.clone(syscalls.CLONE_NEWPID, exit_signal=signal.SIGCHLD)
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            _serve_and_exit(theirs)
        os.close(pidfd)
        theirs.close()
        return cls(ours, pid)

    def run(self, spec: StepSpec, *, stdin: int, stdout: int, stderr: int) -> Running:
        """Start a step with these descriptors as its standard streams; they stay the caller's."""
        try:
            channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise _no_start(error) from error
        try:
            with theirs, os.fdopen(os.memfd_create("step", os.MFD_CLOEXEC), "wb", buffering=0) as request:
                request.write(spec.to_json())
                self._send([theirs.fileno(), request.fileno(), stdin, stdout, stderr])
        except OSError as error:
            channel.close()
            raise _no_start(error) from error
        return Running(channel)

    def _send(self, descriptors: Sequence[int]) -> None:
        content = array.array("i", descriptors)
        self._control.sendmsg([b"r"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, content)])

    def close(self) -> None:
        """End the spawner, and every step with it."""
        self._control.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _no_start(error: OSError) -> SandboxError:
    return SandboxError(f"a step cannot be started: {error.strerror}")


@dataclass(frozen=True, slots=True)
class _Child:
    pid: int
    pidfd: int
    channel: socket.socket
    connector: Connector | None


def _occupy_streams() -> None:
    """Let no descriptor of ours be taken for a standard stream, where this process was started without them."""
    while (fd := os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)) <= 2:
        pass
    os.close(fd)


def _serve_and_exit(control: socket.socket) -> NoReturn:
    try:
        gc.disable()  # what the builder left to be collected holds descriptors that are closed here, and used again
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        _close_inherited(control.fileno())
        # the builder decides what an interrupt means for the steps
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _serve(control)
    finally:
        os._exit(0)


def _close_inherited(kept: int) -> None:
    """Close what the builder, and whoever started it, have open: no step may get hold of it."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != kept:
            with suppress(OSError):  # the one that listed
                os.close(int(name))


def _serve(control: socket.socket) -> None:
    poll = select.poll()
    poll.register(control, select.POLLIN)
    children: dict[int, _Child] = {}  # by pidfd and by channel
    while True:
        # the control socket, registered first, comes first: no number in this list is used again before its turn
        for fd, _ in poll.poll():
            if fd in children:
                _attend(children, fd, poll)
            elif fd == control.fileno():
                request = _receive(control)
                if request is None:
                    return
                child = _admit(request)
                if child is not None:
                    for key in (child.pidfd, child.channel.fileno()):
                        children[key] = child
                        poll.register(key, select.POLLIN)


def _attend(children: dict[int, _Child], fd: int, poll: select.poll) -> None:
    child = children[fd]
    if fd == child.pidfd:
        _bury(children, child, poll)
        return
    number = child.channel.recv(1)
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(child.pidfd, number[0] if number else signal.SIGKILL)
    if not number:  # the builder closed the channel: it wants no more of this step
        del children[fd]
        poll.unregister(fd)


def _bury(children: dict[int, _Child], child: _Child, poll: select.poll) -> None:
    """Tell how a step ended, and forget it."""
    _, status = os.waitpid(child.pid, 0)
    del children[child.pidfd]
    poll.unregister(child.pidfd)
    os.close(child.pidfd)
    if child.connector is not None:
        child.connector.end()
    _tell(child.channel, {"exit": shell_status(status)})
    if children.pop(child.channel.fileno(), None):
        poll.unregister(child.channel.fileno())
    child.channel.close()


def _tell(channel: socket.socket, message: dict[str, Any]) -> None:
    with suppress(OSError):  # the builder may have given the step up
        channel.send(json.dumps(message).encode())


def _receive(control: socket.socket) -> list[int] | None:
    """Take the descriptors of one request, as many as we may open; return None when the builder is gone."""
    room = socket.CMSG_SPACE(_DESCRIPTORS * array.array("i").itemsize)
    data, ancillary, _, _ = control.recvmsg(16, room, socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    descriptors = array.array("i")
    for _, _, content in ancillary:
        descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return list(descriptors)


def _admit(descriptors: list[int]) -> _Child | None:
    """Fork the step; return None, and tell the channel, where that is not possible."""
    if not descriptors:  # the builder sees the channel end
        return None
    channel = socket.socket(fileno=descriptors[0])
    try:
        return _start(channel, descriptors[1:])
    except OSError as error:
        _tell(channel, {"error": f"the kernel refuses a step: {error.strerror}", "remedy": None})
        channel.close()
        return None
    finally:
        for fd in descriptors[1:]:
            os.close(fd)


def _start(channel: socket.socket, descriptors: list[int]) -> _Child:
    if len(descriptors) < _DESCRIPTORS - 1:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    request, *standard = descriptors
    spec = StepSpec.from_json(os.pread(request, os.fstat(request).st_size, 0))
    link, connector = _start_connector(spec)
    try:
        pid, pidfd = syscalls.clone(spec.namespaces, exit_signal=signal.SIGCHLD)
    except OSError:
        if connector is not None:
            connector.end()
        raise
    if pid == 0:
        become(spec, standard, channel, link)
    if link is not None:
        link.close()
    return _Child(pid, pidfd, channel, connector)


def _start_connector(spec: StepSpec) -> tuple[socket.socket | None, Connector | None]:
    """Start what connects the step's network, where anything does; return the step's end of a link to it."""
    if spec.pasta is None:
        return None, None
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        return ours, Connector.start(spec.pasta, theirs, _close_inherited)


def shell_status(status: int) -> int:
    """Return a wait(2) status as a shell shows it: 128 + N for signal N."""
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
