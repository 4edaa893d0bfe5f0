"""A step's process started under the supervision of its keeper."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ocibuild.sandbox import machine_program, step, syscalls
from ocibuild.sandbox.proc import open_proc
from ocibuild.sandbox.specs import StepSpec
from ocibuild.sandbox.supervisor.handover import Arrival, prepare
from ocibuild.sandbox.supervisor.views import BelowFolder, SameRoot

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.sandbox.keeper import Keeper
    from ocibuild.sandbox.specs import FirstSpec
    from ocibuild.sandbox.supervisor.views import View


def prepare_supervision(spec: FirstSpec) -> None:
    """Make what supervised steps like this one have in common, in the process that forks them."""
    if isinstance(spec, StepSpec):
        prepare(step.further_rules(spec))
    else:
        prepare(machine_program.further_rules(spec), capabilities=True)


def start_supervised(
    spec: FirstSpec, keeper: Keeper, fork: Callable[[socket.socket], tuple[int, int]]
) -> tuple[int, int]:
    """Start a step, and have its keeper attend to it; return its process and a descriptor of that."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    proc = open_proc()
    process, descriptor = fork(theirs)
    theirs.close()
    # a program such as proot looks at every part of every path that it translates
    spared = None if isinstance(spec, StepSpec) else process
    keeper.attend(Arrival(ours, proc, lambda: _view(spec, proc, descriptor), keeper.attend, spared=spared))
    return process, descriptor


def _view(spec: FirstSpec, proc: int, process: int) -> View:
    if isinstance(spec, StepSpec):
        syscalls.setns(process, syscalls.CLONE_NEWNS)
        return SameRoot(proc)
    return BelowFolder(proc, spec.folder)
