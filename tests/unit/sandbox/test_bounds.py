from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from ocibuild.sandbox import bounds
from tests.support.lab import LONELY, Lab, in_lab, needs_busybox, needs_root

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("release", ["6.13.9", "5.15.0-91-generic", "2.6.40", "4.18.0-513.el8", "unknown", ""])
def test_machine_is_not_changed_where_the_bound_would_be_its_own(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))
    monkeypatch.setattr(bounds, "_PID_MAX", "/never/opened")
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opened"))
    bounds.bound_processes()


@needs_root
@needs_busybox
@pytest.mark.skipif(bounds._kernel() < (6, 14), reason="before Linux 6.14 a PID namespace has no bound of its own")
@pytest.mark.parametrize("uid", [None, LONELY], ids=["root", "one-id"])
def test_bound_is_of_the_step_alone(uid: int | None, tmp_path: Path) -> None:
    before = _most()

    def work(made: Lab) -> str:
        return made.run("/bin/cat", "/proc/sys/kernel/pid_max").out

    assert in_lab(tmp_path, work, uid=uid) == "8192\n"
    assert _most() == before


def _most() -> str:
    with open("/proc/sys/kernel/pid_max") as file:
        return file.read()
