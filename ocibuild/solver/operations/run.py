"""RUN: a process in the tree of its base, whose changes are the result."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ocibuild.errors import StepFailed
from ocibuild.executor import Process
from ocibuild.graph import Network, Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.graph import Run, Stream
    from ocibuild.solver.workshop import Workshop
    from ocibuild.store import ActiveSnapshot, Snapshot

_KEPT = 16 << 10  # bytes of output that an error shows the end of
_LINES = 20


def run(shop: Workshop, vertex: Run, stack: Sequence[Snapshot], active: ActiveSnapshot, step: int) -> None:
    """Run the process of ``vertex`` on ``stack``, its changes going into ``active``.

    Raises StepFailed where its status is not 0, SandboxError where it cannot be started.
    """
    tail = bytearray()

    def output(stream: Stream, text: bytes) -> None:
        shop.emit(Output(step, stream, text))
        tail.extend(text)
        del tail[:-_KEPT]

    root = shop.snapshotter.root_of_step(stack, active)
    outcome = shop.executor.run(_process(vertex), root, active.scratch, output=output)
    if outcome.exit_status:
        raise _failure(vertex, outcome.exit_status, bytes(tail))
    shop.snapshotter.forget_targets(active, outcome.created)


def _process(vertex: Run) -> Process:
    return Process(
        args=vertex.args,
        env=(*vertex.env, *vertex.hidden_env),
        user=vertex.user,
        working_dir=vertex.working_dir,
        network=vertex.network is not Network.NONE,
    )


def _failure(vertex: Run, exit_status: int, tail: bytes) -> StepFailed:
    lines = tail.decode("utf-8", "replace").splitlines()[-_LINES:]
    return StepFailed(
        f"process {_quoted(vertex.args)!r} did not complete successfully: exit code: {exit_status}",
        exit_status=exit_status,
        output=tuple(lines),
    )


def _quoted(args: Sequence[str]) -> str:
    shell_form = len(args) == 3 and args[1] == "-c"
    return " ".join(args) if shell_form else shlex.join(args)
