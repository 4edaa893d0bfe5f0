"""The spawner: the one process that forks, started before there is any thread, and told over a socket what to run.

It is the first process of a PID namespace, so that when it ends, however that happens, the kernel ends every step with
it; and it is killed when the builder dies. Where there is no such namespace, each step has a keeper to end it, which
takes over its channel. A request carries the step's spec (JSON in a memory file), its standard streams and a channel of
its own. Over the channel come the step's messages, each a JSON object: ``terminal``, with its other end, where the step
has one, ``created`` once the root is made, ``error`` where the process could not be started, ``exit`` at the end. A
byte the other way is a signal for the step's first process; closing the channel kills the step.
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
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from ocibuild.errors import CannotStart, SandboxError
from ocibuild.sandbox import syscalls
from ocibuild.sandbox.binfmt import Handlers
from ocibuild.sandbox.channel import close_inherited, shell_status, tell
from ocibuild.sandbox.descendants import end_descendants
from ocibuild.sandbox.keeper import keep_and_exit
from ocibuild.sandbox.machine_program import ProgramSpec, StatusReport
from ocibuild.sandbox.pasta import Connector, Pasta
from ocibuild.sandbox.program import explain
from ocibuild.sandbox.specs import become_step, load_spec
from ocibuild.sandbox.step import STEP_NAMESPACES, Outside, prepare, try_namespaces

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ocibuild.sandbox.keeper import Keeper
    from ocibuild.sandbox.specs import Spec

_MESSAGE_LIMIT = 1 << 16
_DOCTOR = "`ocibuild doctor` tells what to change"
_DESCRIPTORS = 5  # channel, spec, standard input, output and error


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: ``exit_status`` as a shell shows it, and the mount targets that were made in its tree.

    ``pretended`` says that owners and IDs only looked changed, since the kernel lets nobody answer for it.
    ``touched`` are names in the tree of what is as it was before the step but for its ctime.
    """

    exit_status: int
    created: tuple[str, ...]
    pretended: bool = False
    touched: tuple[str, ...] = ()


class Running:
    """A step that was started; ``wait()`` or ``kill()`` it, then ``close()``."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def wait(self) -> Outcome:
        """Wait for the end; raise SandboxError where the process could not be started."""
        created: tuple[str, ...] = ()
        pretended = False
        while True:
            message, _ = self._next()
            if "exit" in message:
                return Outcome(message["exit"], created, pretended)
            created = tuple(message.get("created", created))
            pretended = message.get("pretended", pretended)

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
    def start(cls, *, namespaced: bool = True) -> Spawner:
        """Fork the spawner; to be called while this process has one thread.

        Unless ``namespaced`` it is in no PID namespace of its own, and each step must have a keeper. Raises OSError or
        SandboxError where this machine refuses that, or the namespaces and mounts that every step has.
        """
        _occupy_streams()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid, pidfd = syscalls.clone(syscalls.CLONE_NEWPID if namespaced else 0, exit_signal=signal.SIGCHLD)
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            _serve_and_exit(theirs, namespaced=namespaced)
        os.close(pidfd)
        theirs.close()
        refusal = os.fsdecode(ours.recv(_MESSAGE_LIMIT)) if namespaced else ""
        if refusal:
            ours.close()
            os.waitpid(pid, 0)
            raise SandboxError(f"this machine refuses a step its own {refusal}", remedy=_DOCTOR)
        return cls(ours, pid)

    def run(self, spec: Spec, *, stdin: int, stdout: int, stderr: int) -> Running:
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
    """A step's first process, or its keeper, which has the channel."""

    pid: int
    pidfd: int
    channel: socket.socket | None
    connector: Connector | None = None

    @property
    def descriptors(self) -> list[int]:
        """What is polled."""
        return [self.pidfd, *([] if self.channel is None else [self.channel.fileno()])]


def _occupy_streams() -> None:
    """Let no descriptor of ours be taken for a standard stream, where this process was started without them."""
    while (fd := os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)) <= 2:
        pass
    os.close(fd)


def _serve_and_exit(control: socket.socket, *, namespaced: bool) -> NoReturn:
    try:
        gc.disable()  # what the builder left to be collected holds descriptors that are closed here, and used again
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)  # should a keeper die, we get what it kept
        close_inherited({control.fileno()})
        # the builder decides what an interrupt means for the steps
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if namespaced:
            control.send(_refusal().encode())
        prepare()
        _serve(control)
    finally:
        os._exit(0)


def _refusal() -> str:
    """Return what a step is refused, tried in a child where there is reason to doubt; empty where all is well."""
    if not _is_doubtful():
        return ""
    said, say = os.pipe2(os.O_CLOEXEC)
    pid, pidfd = syscalls.clone(STEP_NAMESPACES, exit_signal=signal.SIGCHLD)
    if pid == 0:
        try:
            try_namespaces()
        except OSError as error:
            os.write(say, f"namespaces and mounts: {explain(error)}".encode("utf-8", "replace"))
        finally:
            os.close(say)  # the end of its namespaces takes longer, and nobody waits for that
            os._exit(0)
    os.close(pidfd)
    os.close(say)
    refusal = os.read(said, _MESSAGE_LIMIT).decode()
    os.close(said)
    return refusal


def _is_doubtful() -> bool:
    """Tell whether somebody has a say in our system calls, or covers parts of /proc: as a container's runtime does."""
    try:
        with open("/proc/self/status", "rb") as status, open("/proc/self/mountinfo", "rb") as mounts:
            return b"\nSeccomp:\t0\n" not in status.read() or b" /proc/" in mounts.read()
    except OSError:
        return True


def _serve(control: socket.socket) -> None:
    poll = select.poll()
    poll.register(control, select.POLLIN)
    children: dict[int, _Child] = {}  # by pidfd and by channel
    handlers = Handlers()
    while True:
        # the control socket, registered first, comes first: no number in this list is used again before its turn
        for fd, _ in poll.poll():
            if fd in children:
                _attend(children, fd, poll)
            elif fd == control.fileno():
                request = _receive(control)
                if request is None:
                    _end_keepers(children.values())
                    return
                child = _admit(request, handlers)
                if child is not None:
                    for key in child.descriptors:
                        children[key] = child
                        poll.register(key, select.POLLIN)


def _attend(children: dict[int, _Child], fd: int, poll: select.poll) -> None:
    child = children[fd]
    if child.channel is None:
        _bury_keeper(children, child, poll)
        return
    if fd == child.pidfd:
        _bury(children, child, child.channel, poll)
        return
    number = child.channel.recv(1)
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(child.pidfd, number[0] if number else signal.SIGKILL)
    if not number:  # the builder closed the channel: it wants no more of this step
        del children[fd]
        poll.unregister(fd)


def _bury(children: dict[int, _Child], child: _Child, channel: socket.socket, poll: select.poll) -> None:
    """Tell how a step ended, and forget it."""
    status = _reap(children, child, poll)
    tell(channel, {"exit": shell_status(status)})
    if children.pop(channel.fileno(), None):
        poll.unregister(channel.fileno())
    channel.close()


def _bury_keeper(children: dict[int, _Child], keeper: _Child, poll: select.poll) -> None:
    """Forget a keeper; where it was killed, end what it kept."""
    if _reap(children, keeper, poll):
        end_descendants([child.pid for child in children.values()])


def _reap(children: dict[int, _Child], child: _Child, poll: select.poll) -> int:
    _, status = os.waitpid(child.pid, 0)
    del children[child.pidfd]
    poll.unregister(child.pidfd)
    os.close(child.pidfd)
    if child.connector is not None:
        child.connector.end()
    return status


def _end_keepers(children: Iterable[_Child]) -> None:
    """Have the keepers end their steps, and wait for them; other steps end with us."""
    keepers = [child for child in children if child.channel is None]
    for keeper in keepers:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(keeper.pidfd, signal.SIGTERM)
    for keeper in keepers:
        os.waitpid(keeper.pid, 0)


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


def _admit(descriptors: list[int], handlers: Handlers) -> _Child | None:
    """Fork the step; return None, and tell the channel, where that is not possible."""
    if not descriptors:  # the builder sees the channel end
        return None
    channel = socket.socket(fileno=descriptors[0])
    try:
        return _start(channel, descriptors[1:], handlers)
    except OSError as error:
        tell(channel, {"error": f"the kernel refuses a step: {error.strerror}", "remedy": None})
        channel.close()
        return None
    finally:
        for fd in descriptors[1:]:
            os.close(fd)


def _start(channel: socket.socket, descriptors: list[int], handlers: Handlers) -> _Child:
    if len(descriptors) < _DESCRIPTORS - 1:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    request, *standard = descriptors
    spec = load_spec(os.pread(request, os.fstat(request).st_size, 0))
    foreign = getattr(spec, "foreign", None)
    users = handlers.namespace(foreign.handlers) if foreign and foreign.handlers else None
    if spec.kept:
        return _start_keeper(spec, channel, standard, users)
    link, connector = _start_connector(getattr(spec, "pasta", None))
    try:
        forked = _fork(spec, channel, standard, Outside(users, link))
    except OSError:
        if connector is not None:
            connector.end()
        raise
    return _Child(*forked, channel, connector)


def _start_connector(pasta: Pasta | None) -> tuple[socket.socket | None, Connector | None]:
    """Start what connects a step's network, where anything does; return the step's end of a link to it."""
    if pasta is None:
        return None, None
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        return ours, Connector.start(pasta, theirs)


def _fork(spec: Spec, channel: socket.socket, standard: list[int], outside: Outside) -> tuple[int, int]:
    """Fork the step's first process, which takes its end of the link; return its number and a descriptor of it."""
    pid, pidfd = syscalls.clone(spec.namespaces, exit_signal=signal.SIGCHLD)
    if pid == 0:
        become_step(spec, standard, channel, outside)
    if outside.link is not None:
        outside.link.close()
    return pid, pidfd


def _fork_supervised(
    spec: Spec, channel: socket.socket, standard: list[int], outside: Outside, supervisor: socket.socket
) -> tuple[int, int]:
    return _fork(spec, channel, standard, outside._replace(supervisor=supervisor))


def _start_keeper(spec: Spec, channel: socket.socket, standard: list[int], users: int | None) -> _Child:
    spawner = os.getpid()

    def start(keeper: Keeper) -> tuple[int, int]:
        if isinstance(spec, ProgramSpec) and spec.report is not None:
            keeper.attend(StatusReport(spec.report, keeper.conclude))
        link, connector = _start_connector(getattr(spec, "pasta", None))
        if connector is not None:
            keeper.end_too(connector.end)
        outside = Outside(users, link)
        if spec.supervised:
            forked = start_supervised(spec, keeper, partial(_fork_supervised, spec, channel, standard, outside))
        else:
            forked = _fork(spec, channel, standard, outside)
        for fd in standard:
            os.close(fd)
        return forked

    if spec.supervised:
        from ocibuild.sandbox.supervision import start_supervised  # for the few steps that are
    pid, pidfd = syscalls.clone(0, exit_signal=signal.SIGCHLD)
    if pid == 0:
        kept = (*standard, *([] if users is None else [users]))
        keep_and_exit(start, channel, spawner=spawner, kept=kept, depth=spec.depth)
    channel.close()
    return _Child(pid, pidfd, None)
