"""What the spawner can be asked to start: a process in a root of its own, or a program of the machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from ocibuild.sandbox.machine_program import ProgramSpec, become_program
from ocibuild.sandbox.step import Outside, StepSpec, become

if TYPE_CHECKING:
    import socket

Spec: TypeAlias = StepSpec | ProgramSpec


def load_spec(data: bytes) -> Spec:
    """Return the spec that ``to_json()`` of one of them wrote."""
    members = json.loads(data)
    return StepSpec.load(members) if "root" in members else ProgramSpec.load(members)


def become_step(spec: Spec, standard: list[int], channel: socket.socket, outside: Outside) -> NoReturn:
    """Become the process of ``spec`` with ``standard`` as its streams; tell ``channel`` what went wrong, if it does."""
    if isinstance(spec, StepSpec):
        become(spec, standard, channel, outside)
    become_program(spec, standard, channel, outside.supervisor)
