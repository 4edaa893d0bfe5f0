"""RUN: a process in the tree of its base, whose changes are the result."""

from __future__ import annotations

import shlex
from contextlib import nullcontext
from typing import TYPE_CHECKING, assert_never

from ocibuild.errors import CannotStart, StepFailed
from ocibuild.executor import Connection, Process, killed_for_memory
from ocibuild.graph import Network, Output, Security
from ocibuild.solver.operations.aftermath import Aftermath

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from ocibuild.graph import Run, Stream, Vertex
    from ocibuild.solver.operations.mounts import Given
    from ocibuild.solver.workshop import Workshop
    from ocibuild.store import ActiveSnapshot, Snapshot

_KEPT = 16 << 10  # bytes of output that an error shows the end of
_LINES = 20


def run(
    shop: Workshop,
    vertex: Run,
    stack: Sequence[Snapshot],
    active: ActiveSnapshot,
    step: int,
    stack_of: Callable[[Vertex], Sequence[Snapshot]],
    failed: Callable[[Aftermath], None] = lambda _left: None,
) -> None:
    """Run the process of ``vertex`` on ``stack``, its changes going into ``active``.

    ``stack_of`` gives the trees that it mounts; ``failed`` is told what is left where the process fails. Raises
    StepFailed where its status is not 0, SandboxError where it cannot be started, SourceError where something that it
    mounts is missing.
    """
    tail = bytearray()

    def output(stream: Stream, text: bytes) -> None:
        shop.emit(Output(step, stream, text))
        tail.extend(text)
        del tail[:-_KEPT]

    killed = killed_for_memory()
    with shop.snapshotter.running(stack, active) as root:
        with _given(shop, vertex, active, stack_of) as given:
            process = _process(shop, vertex, given)
            try:
                outcome = shop.executor.run(process, root, active.scratch, output=output)
                if outcome.exit_status:
                    raise _failure(vertex, outcome.exit_status, bytes(tail), starved=killed_for_memory() > killed)
            except (StepFailed, CannotStart) as error:
                failed(Aftermath(vertex, error, process, root, active.scratch))
                raise
        shop.snapshotter.forget_targets(active, outcome.created, outcome.touched)


def expect(shop: Workshop, vertex: Run) -> None:
    """Have ready what the process of ``vertex`` can have before all that it needs is there."""
    if vertex.security is not Security.INSECURE:
        shop.executor.expect(_connection(shop, vertex.network), vertex.shm_size)


def _given(
    shop: Workshop, vertex: Run, active: ActiveSnapshot, stack_of: Callable[[Vertex], Sequence[Snapshot]]
) -> AbstractContextManager[Given | None]:
    if not vertex.mounts:
        return nullcontext()
    from ocibuild.solver.operations.mounts import given_to

    return given_to(shop, vertex, active, stack_of)


def _process(shop: Workshop, vertex: Run, given: Given | None) -> Process:
    return Process(
        args=vertex.args,
        env=(*vertex.env, *vertex.hidden_env, *(given.env if given else ())),
        user=vertex.user,
        working_dir=vertex.working_dir,
        hostname=vertex.hostname,
        connection=_connection(shop, vertex.network),
        mounts=given.mounts if given else (),
        insecure=vertex.security is Security.INSECURE,
        platform=vertex.platform,
        extra_hosts=vertex.extra_hosts,
        shm_size=vertex.shm_size,
        ulimits=vertex.ulimits,
    )


def _connection(shop: Workshop, network: Network) -> Connection:
    match network:
        case Network.DEFAULT:
            return Connection.PASTA if shop.pasta else Connection.MACHINE
        case Network.HOST:
            return Connection.MACHINE
        case Network.NONE:
            return Connection.NONE
        case _:
            assert_never(network)


def _failure(vertex: Run, exit_status: int, tail: bytes, *, starved: bool) -> StepFailed:
    """Return the error of a step; ``starved`` is whether the kernel killed any process meanwhile for want of memory."""
    return StepFailed(
        f"process {_quoted(vertex.args)!r} did not complete successfully: exit code: {exit_status}",
        exit_status=exit_status,
        output=tuple(_last_lines(tail)),
        remedy="the kernel killed a process meanwhile because no memory was left: give the build more"
        if starved
        else None,
    )


def _last_lines(tail: bytes) -> list[str]:
    """Return the last lines of what a step wrote, each as a terminal has it in the end: it may be started anew."""
    lines = tail.decode("utf-8", "replace").removesuffix("\n").split("\n")
    return [line.rstrip("\r").rpartition("\r")[2] for line in lines[-_LINES:]] if tail else []


def _quoted(args: Sequence[str]) -> str:
    shell_form = len(args) == 3 and args[1] == "-c"
    return " ".join(args) if shell_form else shlex.join(args)
