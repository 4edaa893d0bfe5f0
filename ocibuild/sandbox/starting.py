"""A step's first process, started by the spawner: beside what connects its network, and below its keeper."""

from __future__ import annotations

import errno
import os
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocibuild.sandbox import syscalls
from ocibuild.sandbox.keeper import keep_and_exit
from ocibuild.sandbox.machine_program import ProgramSpec, StatusReport
from ocibuild.sandbox.pasta import Connector
from ocibuild.sandbox.specs import become_step, load_spec
from ocibuild.sandbox.step import Outside

if TYPE_CHECKING:
    from ocibuild.sandbox.binfmt import Handlers
    from ocibuild.sandbox.keeper import Keeper
    from ocibuild.sandbox.pasta import Pasta
    from ocibuild.sandbox.specs import Spec

DESCRIPTORS = 5
"""Of a request: channel, spec, standard input, output and error."""


@dataclass(frozen=True, slots=True)
class Child:
    """A step's first process, or its keeper, which has the channel."""

    pid: int
    pidfd: int
    channel: socket.socket | None
    connector: Connector | None = None

    @property
    def descriptors(self) -> list[int]:
        """What is polled."""
        return [self.pidfd, *([] if self.channel is None else [self.channel.fileno()])]


def start(channel: socket.socket, descriptors: list[int], handlers: Handlers) -> Child:
    """Fork the step of a request, whose other descriptors stay the caller's; raise OSError where that fails."""
    if len(descriptors) < DESCRIPTORS - 1:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    request, *standard = descriptors
    spec = load_spec(os.pread(request, os.fstat(request).st_size, 0))
    users = handlers.namespace(spec.foreign.handlers) if spec.foreign and spec.foreign.handlers else None
    if spec.kept:
        return _start_keeper(spec, channel, standard, users)
    link, connector = _start_connector(spec.pasta)
    try:
        forked = _fork(spec, channel, standard, Outside(users, link))
    except OSError:
        if connector is not None:
            connector.end()
        raise
    return Child(*forked, channel, connector)


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


def _start_keeper(spec: Spec, channel: socket.socket, standard: list[int], users: int | None) -> Child:
    spawner = os.getpid()

    def begin(keeper: Keeper) -> tuple[int, int]:
        if isinstance(spec, ProgramSpec) and spec.report is not None:
            keeper.attend(StatusReport(spec.report, keeper.conclude))
        link, connector = _start_connector(spec.pasta)
        if connector is not None:
            keeper.end_too(connector.end)

        def fork(supervisor: socket.socket | None = None) -> tuple[int, int]:
            return _fork(spec, channel, standard, Outside(users, link, supervisor))

        forked = start_supervised(spec, keeper, fork) if spec.supervised else fork()
        for fd in standard:
            os.close(fd)
        return forked

    if spec.supervised:
        from ocibuild.sandbox.supervision import prepare_supervision, start_supervised  # for the few steps that are

        prepare_supervision(spec)
    pid, pidfd = syscalls.clone(0, exit_signal=signal.SIGCHLD)
    if pid == 0:
        kept = (*standard, *([] if users is None else [users]))
        keep_and_exit(begin, channel, spawner=spawner, kept=kept, depth=spec.depth)
    channel.close()
    return Child(pid, pidfd, None)
