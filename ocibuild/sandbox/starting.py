"""A step's first process, started by the spawner: beside what connects its network, and below its keeper."""

from __future__ import annotations

import errno
import os
import signal
import socket
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from ocibuild.errors import OcibuildError
from ocibuild.sandbox import syscalls
from ocibuild.sandbox.binfmt import Handlers
from ocibuild.sandbox.channel import close_inherited, receive
from ocibuild.sandbox.connector import Connector
from ocibuild.sandbox.descendants import end_descendants
from ocibuild.sandbox.entering import fork_into
from ocibuild.sandbox.keeper import Keeper
from ocibuild.sandbox.landlock import scope
from ocibuild.sandbox.machine_program import StatusReport, become_program
from ocibuild.sandbox.spare import Spare, await_request
from ocibuild.sandbox.specs import EntrySpec, Expected, ProgramSpec, StepSpec, load_spec
from ocibuild.sandbox.step import Beginning, become, begin
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ocibuild.sandbox.pasta import Pasta
    from ocibuild.sandbox.request import Request
    from ocibuild.sandbox.specs import FirstSpec, Spec


class FirstProcess:
    """The first process of a step that has a keeper, which tells it over a line; close it."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._descriptor: int | None = None

    def descriptor(self) -> int:
        """Return a descriptor of it, which stays ours; raise OSError where it was not started."""
        if self._descriptor is None:
            _, found = receive(self._line, 1, 1)
            if not found:
                raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
            self._descriptor = found[0]
        return self._descriptor

    def close(self) -> None:
        """Let go."""
        self._line.close()
        if self._descriptor is not None:
            os.close(self._descriptor)


@dataclass(frozen=True, slots=True)
class Child:
    """A step's first process, or its keeper, which has the channel; or one more process in a step.

    ``step`` is what it is the first process of, or keeps; ``first`` is that process, where it is another.
    """

    pid: int
    pidfd: int
    channel: socket.socket | None
    connector: Connector | None = None
    step: StepSpec | None = None
    first: FirstProcess | None = None

    @property
    def descriptors(self) -> list[int]:
        """What is polled."""
        return [self.pidfd, *([] if self.channel is None else [self.channel.fileno()])]


class Starter:
    """Starts steps, in the process with one thread that forks them all, and has a process ready for the next."""

    def __init__(self) -> None:
        self._handlers = Handlers()
        self._spare: Spare | None = None
        self._last: Spec | None = None
        self._is_scoped = False  # this process, for the steps that let others in: a second time would part it from them

    @property
    def waiting(self) -> list[int]:
        """The process that waits for a step, where there is one."""
        return [self._spare.pid] if self._spare else []

    def start(self, request: Request, others: Sequence[Child]) -> Child | None:
        """Start a step, whose descriptors but for the channel stay the caller's; raise OSError where that fails.

        ``others`` are the processes that were started before and have not ended. Returns None for one to come.
        """
        spec = load_spec(request.read())
        if isinstance(spec, Expected):
            request.channel.close()
            self._expect(spec.like)
            return None
        if isinstance(spec, EntrySpec):
            return _start_inside(spec, request, others)
        if spec.foreign and spec.foreign.handlers:
            request = request.with_outside(users=self._handlers.namespace(spec.foreign.handlers))
        self._prepare(spec)
        spare = self._take_spare(spec, [child.pid for child in others])
        self._last = spec
        return _start_keeper(spec, request, spare) if spec.kept else _start_step(spec, request, spare)

    def _prepare(self, spec: FirstSpec) -> None:
        """Have what steps like this one have in common, before a process is forked for one."""
        if spec.supervised:
            from ocibuild.sandbox.supervision import prepare_supervision  # for the few steps that are

            prepare_supervision(spec)
        if spec.lets_in and spec.confined and not self._is_scoped:
            self._is_scoped = True
            scope()

    def _expect(self, like: StepSpec) -> None:
        """Have a process for a step like this one, where none is there."""
        if self._spare is None:
            self._prepare(like)
            with suppress(OSError):
                self._spare = _fork_spare(like)

    def be_ready(self) -> None:
        """Have a process for one more step like the last, where none is there; a container is the only one."""
        if self._spare is None and isinstance(self._last, StepSpec) and not self._last.lets_in:
            with suppress(OSError):
                self._spare = _fork_spare(self._last)

    def close(self) -> None:
        """End what waits, unless it ends with this process: as the first of a PID namespace takes all with it."""
        if self._spare is not None and os.getpid() != 1:
            self._spare.end()

    def _take_spare(self, spec: Spec, others: Sequence[int]) -> Spare | None:
        """Return the spare where it is for a step like this one."""
        spare, self._spare = self._spare, None
        if spare is None or (spare.kind == _kind(spec) and not spare.has_ended):
            return spare
        was_killed = spare.has_ended
        spare.end()
        if was_killed:  # it may have had one of its own
            end_descendants(others)
        return None


def _start_inside(spec: EntrySpec, request: Request, others: Sequence[Child]) -> Child:
    """Start one more process in the step that runs: whoever asks has just one."""
    entered = next((child for child in others if child.step and child.step.lets_in), None)
    if entered is None or entered.step is None:
        raise OSError(errno.ESRCH, "it has ended")
    try:
        if entered.first is None:
            return Child(*fork_into(entered.step, entered.pidfd, spec, request), request.channel)
        return _start_kept_inside(entered.step, entered.first.descriptor(), spec, request)
    except AttributeError as error:  # a Python that was built where the kernel was older
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from error


def _start_kept_inside(step: StepSpec, first: int, spec: EntrySpec, request: Request) -> Child:
    """Start it below a keeper of its own, which supervises it as that of the step does the others."""

    def begin(keeper: Keeper) -> tuple[int, int]:
        from ocibuild.sandbox.supervision import start_supervised

        def fork(supervisor: socket.socket) -> tuple[int, int]:
            return fork_into(step, first, spec, request.with_outside(supervisor=supervisor))

        forked = start_supervised(step, keeper, fork)
        for fd in request.standard:
            os.close(fd)
        return forked

    spawner = os.getpid()
    return _fork_keeper(
        request, lambda: Keeper(request.channel, depth=0).keep(begin, spawner), kept=(*request.descriptors, first)
    )


def _kind(spec: Spec) -> object:
    """Return what a spare process must have in common with its step; None where a step must have one of its own."""
    if not isinstance(spec, StepSpec):
        return None
    return spec.kept, spec.namespaces, spec.system, spec.links, spec.confined, spec.lets_in


def _fork_spare(like: StepSpec) -> Spare:
    """Fork a process for a step, or a keeper that has one itself."""

    def wait_for_step(line: socket.socket) -> None:
        try:
            beginning = Beginning.make(like)
        except (OSError, OcibuildError) as error:  # whoever has the step hears of it
            _tell_of(error, await_request(line))
        request = await_request(line)
        spec = load_spec(request.read())
        assert isinstance(spec, StepSpec)
        become(spec, request, beginning)

    if not like.kept:
        return Spare.fork(_kind(like), like.namespaces, wait_for_step)
    spawner = os.getpid()

    def wait_for_keeper(line: socket.socket) -> None:
        spare = Spare.fork(_kind(like), like.namespaces, wait_for_step)
        request = await_request(line, unused=spare.end)
        spec = load_spec(request.read())
        assert isinstance(spec, StepSpec)
        _keep(spec, request, spare, spawner)

    return Spare.fork(_kind(like), 0, wait_for_keeper)


def _tell_of(problem: OSError | OcibuildError, request: Request) -> NoReturn:
    """Tell the channel of a request what went wrong before it came."""

    def fail() -> None:
        raise problem

    begin(fail, request.channel)


def _start_step(spec: FirstSpec, request: Request, spare: Spare | None) -> Child:
    """Start a step beside what connects its network, where anything does."""
    link, connector = _start_connector(spec.pasta)
    try:
        forked = _fork(spec, request.with_outside(link=link), spare)
    except OSError:
        if connector is not None:
            connector.end()
        raise
    return Child(*forked, request.channel, connector, spec if isinstance(spec, StepSpec) else None)


def _start_connector(pasta: Pasta | None) -> tuple[socket.socket | None, Connector | None]:
    """Start what connects a step's network, where anything does; return the step's end of a link to it."""
    if pasta is None:
        return None, None
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        return ours, Connector.start(pasta, theirs)


def _fork(spec: FirstSpec, request: Request, spare: Spare | None) -> tuple[int, int]:
    """Have a step's first process, which takes its end of the link; return its number and a descriptor of it."""
    forked = spare and spare.give(request)
    if not forked:
        forked = syscalls.clone(spec.namespaces, exit_signal=signal.SIGCHLD)
        if forked[0] == 0:
            _become(spec, request)
    if request.outside.link is not None:
        request.outside.link.close()
    return forked


def _become(spec: FirstSpec, request: Request) -> NoReturn:
    """Become the process of ``spec``; tell the channel of the request what went wrong, if anything does."""
    if isinstance(spec, StepSpec):
        become(spec, request)
    become_program(spec, request)


def _start_keeper(spec: FirstSpec, request: Request, spare: Spare | None) -> Child:
    first, tells = _told_of_first(spec)
    with tells or nullcontext():
        request = request.with_outside(first=tells)
        spawner = os.getpid()
        forked = spare and spare.give(request)
        if forked:
            request.channel.close()
            keeper = Child(*forked, None)
        else:
            keeper = _fork_keeper(request, lambda: _keep(spec, request, None, spawner), kept=request.descriptors)
    return replace(keeper, step=spec if isinstance(spec, StepSpec) else None, first=first)


def _told_of_first(spec: FirstSpec) -> tuple[FirstProcess | None, socket.socket | None]:
    """Return what hears of the first process of a step that lets others in, and where its keeper tells it."""
    if not spec.lets_in or not spec.namespaces:
        return None, None
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return FirstProcess(ours), theirs


def _fork_keeper(request: Request, keep: Callable[[], None], *, kept: Collection[int]) -> Child:
    """Fork a process that becomes a keeper, and has of our descriptors those that are ``kept``."""
    forked = syscalls.clone(0, exit_signal=signal.SIGCHLD)
    if forked[0] == 0:
        try:
            close_inherited(kept)
            keep()
            os._exit(0)
        finally:
            os._exit(1)
    request.channel.close()
    return Child(*forked, None)


def _keep(spec: FirstSpec, request: Request, spare: Spare | None, spawner: int) -> None:
    """Be the keeper of a step, in a process forked for it."""

    def begin(keeper: Keeper) -> tuple[int, int]:
        if request.outside.leash is not None:
            keeper.hold(request.outside.leash)
        if isinstance(spec, ProgramSpec) and spec.report is not None:
            report = StatusReport(spec.report, keeper.conclude)
            keeper.attend(report)
            keeper.end_too(report.remove)
        link, connector = _start_connector(spec.pasta)
        if connector is not None:
            keeper.end_too(connector.end)

        def fork(supervisor: socket.socket | None = None) -> tuple[int, int]:
            its_own = request.with_outside(link=link, supervisor=supervisor, leash=None, first=None)
            return _fork(spec, its_own, spare)

        if spec.supervised:
            from ocibuild.sandbox.supervision import start_supervised

            forked = start_supervised(spec, keeper, fork)
        else:
            forked = fork()
        if request.outside.first is not None:
            socket.send_fds(request.outside.first, [b"1"], [forked[1]])
            request.outside.first.close()
        for fd in request.standard:
            os.close(fd)
        return forked

    Keeper(request.channel, depth=spec.depth).keep(begin, spawner)
    os._exit(0)
