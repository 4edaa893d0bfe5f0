"""The spawner: the one process that forks, started before there is any thread, and told over a socket what to run.

It is the first process of a PID namespace, so that when it ends, however that happens, the kernel ends every step with
it; and it is killed when the builder dies. Where there is no such namespace, each step has a keeper to end it, which
takes over its channel. A request carries the step's spec (JSON in a memory file), its standard streams and a channel of
its own. Over the channel come the step's messages, each a JSON object: ``terminal``, with its other end, where the step
has one, ``created`` once the root is made, ``error`` where the process could not be started, ``exit`` at the end. A
byte the other way is a signal for the step's first process; closing the channel kills the step.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from ocibuild.errors import SandboxError
from ocibuild.sandbox import syscalls
from ocibuild.sandbox.request import Outside, Request
from ocibuild.sandbox.running import Running
from ocibuild.sandbox.specs import Expected

if TYPE_CHECKING:
    from ocibuild.sandbox.specs import Spec, StepSpec


class Spawner:
    """The builder's end: starts steps, from any thread."""

    def __init__(self, control: socket.socket, pid: int) -> None:
        self._control = control
        self._pid = pid

    @classmethod
    def start(cls, *, namespaced: bool = True) -> Spawner:
        """Fork the spawner; to be called while this process has one thread.

        Unless ``namespaced`` it is in no PID namespace of its own, and each step must have a keeper. Raises OSError
        where this machine refuses that.
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
            _serve_and_exit(theirs)
        os.close(pidfd)
        theirs.close()
        return cls(ours, pid)

    def run(self, spec: Spec, *, stdin: int, stdout: int, stderr: int) -> Running:
        """Start a step with these descriptors as its standard streams; they stay the caller's."""
        return start_over(self._control, spec, [stdin, stdout, stderr])

    def expect(self, like: StepSpec) -> None:
        """Have a process ready for a step like this one, before that is known; there is no harm where none comes."""
        with suppress(OSError), open(os.devnull, "rb") as null:  # whoever starts the step hears of it
            channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with channel, theirs:
                _send(self._control, Expected(like), theirs, [null.fileno()] * 3, Outside())

    def pass_on(self, request: Request, spec: Spec, leash: socket.socket | None = None) -> None:
        """Start what somebody else asks for, ``spec`` being what becomes of it; raise OSError.

        What has a keeper may have a ``leash``: see ``Outside``.
        """
        _send(self._control, spec, request.channel, request.standard, Outside(leash=leash))

    def close(self) -> None:
        """End the spawner, and every step with it."""
        self._control.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _serve_and_exit(control: socket.socket) -> NoReturn:
    """Be the spawner, in a process forked for it."""
    try:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        # the builder decides what an interrupt means for the steps
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # what becomes a step is imported here, while the builder goes on: it needs none of it
        from ocibuild.sandbox.serving import serve

        serve(control)
    finally:
        os._exit(0)


def start_over(line: socket.socket, spec: Spec, standard: list[int]) -> Running:
    """Ask for a process at the other end of ``line``, with standard streams that stay the caller's."""
    try:
        channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError as error:
        raise _no_start(error) from error
    try:
        with theirs:
            _send(line, spec, theirs, standard, Outside())
    except OSError as error:
        channel.close()
        raise _no_start(error) from error
    return Running(channel)


def _send(
    line: socket.socket, spec: Spec | Expected, channel: socket.socket, standard: list[int], outside: Outside
) -> None:
    with os.fdopen(os.memfd_create("step", os.MFD_CLOEXEC), "wb", buffering=0) as file:
        file.write(spec.to_json())
        Request(channel, file.fileno(), standard, outside).send(line)


def _no_start(error: OSError) -> SandboxError:
    return SandboxError(f"a step cannot be started: {error.strerror}")


def _occupy_streams() -> None:
    """Let no descriptor of ours be taken for a standard stream, where this process was started without them."""
    while (fd := os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)) <= 2:
        pass
    os.close(fd)
