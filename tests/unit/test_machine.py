from __future__ import annotations

import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import SandboxError
from ocibuild.executor import Forced, Row
from ocibuild.machine import Machine
from ocibuild.sandbox.privileges import drop_capabilities, last_capability
from ocibuild.sandbox.syscalls import CLONE_NEWNS, MS_PRIVATE, MS_REC, mount, unshare
from ocibuild.store import Store
from tests.support.containers import be_root_of_container, be_user_of_container
from tests.support.isolated import isolated
from tests.support.lab import LONELY, in_child, in_lab, needs_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.lab import Lab


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


def _chosen(machine: Machine, store: Store, wanted: str) -> tuple[str, list[str]]:
    warnings: list[str] = []
    snapshotter = replace(machine, forced=Forced(snapshotter=wanted)).snapshotter(store, warnings.append)
    snapshotter.close()
    return type(snapshotter).__name__, warnings


@needs_root
def test_trees_are_mounted_where_they_can_be_and_copied_where_that_is_wanted(tmp_path: Path) -> None:
    def work(made: Lab) -> list[tuple[str, list[str]]]:
        machine = Machine(Row.ROOT, made.identity, None)
        return [_chosen(machine, made.store, wanted) for wanted in ("auto", "overlay", "copy")]

    found = in_lab(tmp_path, work)
    assert found == [("OverlaySnapshotter", []), ("OverlaySnapshotter", []), ("CopySnapshotter", [])]


@needs_root
@pytest.mark.parametrize("file_system", ["overlay", None], ids=["on-overlayfs", "marked"])
def test_copies_are_taken_unasked_with_a_word_and_a_wish_that_cannot_be_is_refused(
    file_system: str | None, tmp_path: Path
) -> None:
    def work(made: Lab) -> tuple[tuple[str, list[str]], str, str | None]:
        if file_system is None:
            os.close(os.open(os.path.join(made.store.root, "whiteouts-are-sockets"), os.O_CREAT))
        machine = Machine(Row.ROOT, made.identity, None)
        with pytest.raises(SandboxError) as caught:
            _chosen(machine, made.store, "overlay")
        return _chosen(machine, made.store, "auto"), caught.value.message, caught.value.remedy

    (name, (warning,)), message, remedy = in_lab(tmp_path, work, file_system=file_system)
    assert name == "CopySnapshotter"
    assert warning.endswith("each stage gets a copy of its root file system (--snapshotter copy)")
    assert message == f"--snapshotter overlay: {warning.partition(';')[0]}"
    assert "--snapshotter copy" in str(remedy)


def test_without_namespaces_trees_are_copied(tmp_path: Path) -> None:
    machine = Machine(Row.NONE, None, None, SandboxError("no namespaces here"))
    with Store.open(os.fspath(tmp_path / "store")) as store:
        name, warnings = _chosen(machine, store, "auto")
        assert (name, warnings[0].partition(";")[0]) == ("CopySnapshotter", "no namespaces here")


def _entered(be: Callable[[], None], forced: Forced, proot: str | None) -> tuple[str, str]:
    """Return the executor and the ownership of a machine that is entered in a child."""

    def inside() -> tuple[str, str]:
        be()
        machine = Machine.enter(forced, lambda: proot)
        try:
            return type(machine.executor()).__name__, type(machine.ownership()).__name__
        finally:
            machine.close()

    return in_child(inside)


@needs_root
def test_root_of_a_container_takes_proot_where_it_is_present_else_the_bare_one() -> None:
    assert _entered(be_root_of_container, Forced(), None) == ("BareExecutor", "RealOwners")
    assert _entered(be_root_of_container, Forced(), "/usr/bin/proot") == ("ProotExecutor", "RecordedOwners")
    assert _entered(be_root_of_container, Forced("chroot"), "/usr/bin/proot") == ("BareExecutor", "RealOwners")


@needs_root
def test_a_user_without_namespaces_gets_proot_or_a_clear_line() -> None:
    def be() -> None:
        be_user_of_container(LONELY)

    assert _entered(be, Forced(), "/usr/bin/proot") == ("ProotExecutor", "RecordedOwners")
    with pytest.raises(AssertionError, match=r"refuses a user namespace.*or install proot"):
        _entered(be, Forced(), None)
    with pytest.raises(AssertionError, match="--executor chroot: this machine refuses"):
        _entered(be, Forced("chroot"), "/usr/bin/proot")


@needs_root
@pytest.mark.parametrize("proot", [None, "/usr/bin/proot"], ids=["without-proot", "with-proot"])
def test_namespaces_in_which_no_step_could_run_are_not_entered(proot: str | None, tmp_path: Path) -> None:
    """There root would not be the root that it is here: it could make no device."""

    def inside() -> str:
        unshare(CLONE_NEWNS)
        mount(None, "/", None, MS_REC | MS_PRIVATE)
        mount("tmpfs", "/proc/bus", "tmpfs", 0)  # as a container's runtime covers parts of it
        drop_capabilities(last_capability())
        machine = Machine.enter(Forced(), lambda: proot)
        try:
            os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
            return type(machine.executor()).__name__
        finally:
            machine.close()

    assert in_child(inside) == ("ProotExecutor" if proot else "BareExecutor")


@needs_root
def test_proot_that_is_insisted_on_must_be_there() -> None:
    assert _entered(lambda: None, Forced("proot"), "/usr/bin/proot") == ("ProotExecutor", "RecordedOwners")
    with pytest.raises(AssertionError, match="--executor proot: there is no proot on PATH"):
        _entered(lambda: None, Forced("proot"), None)
