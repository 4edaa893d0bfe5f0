"""What the spawner can be asked to start: a process in a root of its own, one more in there, or a program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from ocibuild.sandbox.entering import EntrySpec
from ocibuild.sandbox.machine_program import ProgramSpec, become_program
from ocibuild.sandbox.step import StepSpec, become

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.sandbox.request import Request

FirstSpec: TypeAlias = StepSpec | ProgramSpec
Spec: TypeAlias = FirstSpec | EntrySpec
Admission: TypeAlias = "Callable[[EntrySpec], FirstSpec]"
"""What makes a step of its own of what is asked for beside another."""


def load_spec(data: bytes) -> Spec:
    """Return the spec that ``to_json()`` of one of them wrote."""
    members = json.loads(data)
    if "root" in members:
        return StepSpec.load(members)
    return ProgramSpec.load(members) if "path" in members else EntrySpec.load(members)


def become_step(spec: FirstSpec, request: Request) -> NoReturn:
    """Become the process of ``spec``; tell the channel of the request what went wrong, if anything does."""
    if isinstance(spec, StepSpec):
        become(spec, request)
    become_program(spec, request)
