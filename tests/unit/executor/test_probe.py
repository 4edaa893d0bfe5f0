from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ocibuild.executor import diagnose
from ocibuild.sandbox import IDs, syscalls
from tests.support.lab import LONELY, in_child, needs_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ocibuild.executor import Diagnosis

pytestmark = needs_root


def _diagnose(folder: Path, uid: int | None = None) -> Diagnosis:
    store = folder / "store"
    store.mkdir()
    if uid is not None:
        os.chown(store, uid, uid)
        for parent in list(store.parents)[:2]:
            parent.chmod(0o755)
        store.parents[2].chmod(0o755)
    return in_child(lambda: diagnose(str(store)), uid=uid)


@pytest.mark.parametrize(("uid", "ids"), [(None, IDs.ALL), (LONELY, IDs.ONE)], ids=["root", "one-id"])
def test_machine_that_allows_all_has_an_executor(uid: int | None, ids: IDs, tmp_path: Path) -> None:
    diagnosis = _diagnose(tmp_path, uid)
    assert (diagnosis.executor, diagnosis.snapshotter, diagnosis.ids) == ("chroot", "overlay", ids.value)
    assert [check.name for check in diagnosis.checks] == ["namespaces", "ids", "overlay", "spawner"]
    assert [bool(check.remedy) for check in diagnosis.checks] == [not check.passed for check in diagnosis.checks]
    assert os.listdir(tmp_path / "store") == []


NEW_MOUNT = syscalls.new_mount
REFUSALS: dict[str, tuple[str, Callable[..., int]]] = {
    "namespaces": ("unshare", lambda *_: _refuse()),
    "overlay": ("new_mount", lambda kind, *_: _refuse() if kind == "overlay" else NEW_MOUNT(kind, *_)),
    "spawner": ("new_mount", lambda kind, *_: _refuse() if kind == "proc" else NEW_MOUNT(kind, *_)),
    "spawner-process": ("clone", lambda *_, **__: _refuse()),
}


def _refuse() -> int:
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_refused_is_named_with_a_remedy(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    function, refusal = REFUSALS[name]
    monkeypatch.setattr(syscalls, function, refusal)
    diagnosis = _diagnose(tmp_path)
    (failed, *_) = [check for check in diagnosis.checks if not check.passed]
    assert failed.name == name.partition("-")[0]
    assert "Operation not permitted" in failed.evidence
    assert failed.remedy
    assert diagnosis.executor is diagnosis.snapshotter is None
