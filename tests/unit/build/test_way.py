"""Which way of running steps is taken, of what a machine allows and a user insists on."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from ocibuild.build import Machine
from ocibuild.build.way import Facts, Way, choose
from ocibuild.errors import SandboxError
from tests.support.containers import be_root_of_container, be_user_of_container
from tests.support.lab import LONELY, in_child, needs_root

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSED = SandboxError("no namespaces here", remedy="change it")
NOWHERE = "/nowhere"


@pytest.mark.parametrize(
    ("wanted", "facts", "way"),
    [
        ("auto", Facts(None, root=True, follows=True, proot=True), Way.NAMESPACES),
        ("chroot", Facts(None, proot=True), Way.NAMESPACES),
        ("proot", Facts(None, proot=True), Way.PROOT),
        ("auto", Facts(REFUSED, root=True), Way.BARE),
        ("auto", Facts(REFUSED, root=True, proot=True), Way.BARE),
        ("auto", Facts(REFUSED, root=True, follows=True, proot=True), Way.PROOT),
        ("chroot", Facts(REFUSED, root=True, follows=True, proot=True), Way.BARE),
        ("proot", Facts(REFUSED, root=True, proot=True), Way.PROOT),
        ("auto", Facts(REFUSED, proot=True), Way.PROOT),
    ],
)
def test_the_best_way_that_is_left_is_taken(wanted: str, facts: Facts, way: Way) -> None:
    assert choose(wanted, facts) is way


@pytest.mark.parametrize(
    ("wanted", "facts", "message"),
    [
        ("auto", Facts(REFUSED), r"no namespaces here \(change it; or install proot\)"),
        ("chroot", Facts(REFUSED, proot=True), r"--executor chroot: no namespaces here \(change it\)"),
        ("proot", Facts(REFUSED, root=True), r"--executor proot: there is no proot on PATH .*OCIBUILD_PROOT"),
    ],
)
def test_what_cannot_be_is_one_clear_line(wanted: str, facts: Facts, message: str) -> None:
    with pytest.raises(SandboxError, match=message):
        choose(wanted, facts)


def machine(be: Callable[[], None], wanted: str, proot: str | None) -> tuple[str, str, list[str]]:
    """Return the executor and the ownership of a machine that is entered in a child, and its warnings."""

    def inside() -> tuple[str, str, list[str]]:
        be()
        warnings: list[str] = []
        entered = Machine.enter(wanted, lambda: proot)
        try:
            executor = entered.executor(NOWHERE, warnings.append)
            return type(executor).__name__, type(entered.ownership()).__name__, warnings
        finally:
            entered.close()

    return in_child(inside)


@needs_root
def test_root_of_a_container_gets_the_bare_one() -> None:
    assert machine(be_root_of_container, "auto", None) == ("BareExecutor", "RealOwners", [])
    assert machine(be_root_of_container, "auto", shutil.which("true")) == ("BareExecutor", "RealOwners", [])


@needs_root
def test_a_user_without_namespaces_gets_proot_or_a_clear_line() -> None:
    def be() -> None:
        be_user_of_container(LONELY)

    assert machine(be, "auto", "/usr/bin/proot") == ("ProotExecutor", "RecordedOwners", [])
    with pytest.raises(AssertionError, match=r"refuses a user namespace.*or install proot"):
        machine(be, "auto", None)
    with pytest.raises(AssertionError, match="--executor chroot: this machine refuses"):
        machine(be, "chroot", "/usr/bin/proot")


@needs_root
def test_proot_that_root_insists_on_opens_the_store_and_says_what_fails(tmp_path: object) -> None:
    def inside() -> tuple[list[str], int]:
        be_root_of_container()
        os.chmod(str(tmp_path), 0o700)
        warnings: list[str] = []
        entered = Machine.enter("proot", lambda: "/usr/bin/proot")
        entered.executor(str(tmp_path), warnings.append)
        entered.close()
        return warnings, os.stat(str(tmp_path)).st_mode & 0o777

    warnings, mode = in_child(inside)
    assert "CAP_SYS_PTRACE" in warnings[0]
    assert mode == 0o711
