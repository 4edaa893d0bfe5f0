from __future__ import annotations

import pytest

from ocibuild.build import Machine
from ocibuild.errors import SandboxError
from ocibuild.executor import Row
from tests.support.isolated import isolated


def test_a_refusal_is_kept_until_something_must_run() -> None:
    machine = Machine(Row.NONE, None, None, SandboxError("no namespaces here", remedy="change it"))
    with pytest.raises(SandboxError, match=r"no namespaces here \(change it\)"):
        machine.executor()
    machine.close()


def test_entering_gives_an_executor_and_a_way_to_put_owners() -> None:
    def work() -> tuple[str, str]:
        machine = Machine.enter()
        try:
            return type(machine.executor()).__name__, type(machine.ownership()).__name__
        finally:
            machine.close()

    executor, ownership = isolated(work)
    assert executor == "ChrootExecutor"
    assert ownership in ("RealOwners", "MappedOwners", "RecordedOwners")


def test_closing_ends_the_spawner() -> None:
    def work() -> int:
        import os

        machine = Machine.enter()
        machine.close()
        with open(f"/proc/{os.getpid()}/task/{os.getpid()}/children", encoding="ascii") as children:
            return len(children.read().split())

    assert isolated(work) == 0
