from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import pwd
import shutil
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ocibuild.sandbox
from ocibuild.errors import SandboxError
from ocibuild.executor import Forced, Row
from ocibuild.executor.probe import diagnose
from ocibuild.sandbox import enter, syscalls
from tests.support.lab import LONELY, become_user, in_child, needs_root, open_way
from tests.support.peers import require_peer
from tests.support.setup_peers import ORDINARY_USER

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.executor.probe import Check, Diagnosis

pytestmark = needs_root

# what a step imports when it comes to it: another user may not be allowed to read this Python's library
for _module in pkgutil.walk_packages(ocibuild.sandbox.__path__, "ocibuild.sandbox."):
    importlib.import_module(_module.name)

NAMES = [
    "kernel", "container", "store", "user-namespace", "ids", "mount", "proc", "step", "overlay",
    "overlay-without-userxattr", "reflink", "user-xattr", "chroot", "chown", "mknod", "seccomp-filter",
    "seccomp-notification", "landlock", "ptrace", "proot", "pasta", "qemu-user-static",
]  # fmt: skip
UNSHARE = {"x86_64": 272, "ppc64le": 282, "s390x": 303}.get(os.uname().machine, 97)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder for a store that any user may write to."""
    folder = tmp_path / "store"
    folder.mkdir()
    folder.chmod(0o1777)
    open_way(folder)
    return folder


@pytest.fixture
def without_proot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH that has the helpers for IDs, and nothing else."""
    folder = tmp_path / "programs"
    folder.mkdir()
    tmp_path.chmod(0o755)
    for name in ("newuidmap", "newgidmap"):
        (folder / name).symlink_to(require_peer(name) if name == "newuidmap" else f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))


@pytest.fixture
def with_proot() -> None:
    require_peer("proot")


def _diagnose(store: Path | None, **forced: str) -> Diagnosis:
    return diagnose(None if store is None else str(store), {}, Forced(**forced))


def _refuse_unshare() -> None:
    """Put a filter in force as docker's, as far as that concerns unshare(2)."""
    steps = ((0x20, 0, 0, 0), (0x15, 0, 1, UNSHARE), (0x06, 0, 0, 0x00050000 | errno.EPERM), (0x06, 0, 0, 0x7FFF0000))
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.set_filter(b"".join(struct.pack("=HBBI", *step) for step in steps), 0)


def _refused(store: Path) -> Diagnosis:
    _refuse_unshare()
    return _diagnose(store)


def _check(diagnosis: Diagnosis, name: str) -> Check:
    return next(check for check in diagnosis.checks if check.name == name)


def _failed(diagnosis: Diagnosis) -> set[str]:
    return {check.name for check in diagnosis.checks if not check.passed}


OPTIONAL = {"reflink", "landlock", "proot", "pasta", "qemu-user-static", "overlay-without-userxattr"}
"""What a machine for these tests need not have."""


def test_root_has_all_that_there_is(store: Path) -> None:
    diagnosis = in_child(lambda: _diagnose(store))
    assert (diagnosis.choice.row, diagnosis.better, diagnosis.possible) == (Row.ROOT, None, True)
    assert [check.name for check in diagnosis.checks] == NAMES
    assert _failed(diagnosis) <= OPTIONAL
    assert "as root" in _check(diagnosis, "ids").evidence
    assert os.listdir(store) == []


def test_every_failure_has_a_remedy_and_nothing_else_has(store: Path) -> None:
    for uid in (None, LONELY):
        for check in in_child(lambda: _diagnose(store), uid=uid).checks:
            assert bool(check.remedy) is not check.passed, check
            assert check.evidence


def test_user_with_a_range_has_it(store: Path) -> None:
    require_peer("newuidmap")
    diagnosis = in_child(lambda: _diagnose(store), uid=pwd.getpwnam(ORDINARY_USER).pw_uid)
    assert (diagnosis.choice.row, diagnosis.better) == (Row.RANGE, None)
    ids = _check(diagnosis, "ids")
    assert (ids.value, ids.passed) == ("range", True)
    assert "(/etc/subuid), by " in ids.evidence
    assert "newuidmap, setuid" in ids.evidence
    assert _failed(diagnosis) <= OPTIONAL | {"chroot", "chown", "mknod"}
    assert os.listdir(store) == []


def test_user_without_a_range_is_told_of_the_line(store: Path) -> None:
    diagnosis = in_child(lambda: _diagnose(store), uid=LONELY)
    assert diagnosis.choice.row is Row.ONE_ID
    assert diagnosis.choice.owners_recorded
    assert diagnosis.better is not None
    assert diagnosis.better.row is Row.RANGE
    assert f"echo {LONELY}:" in diagnosis.better.change
    assert _check(diagnosis, "ids").evidence == f"one: /etc/subuid has no line for {LONELY}"
    assert os.listdir(store) == []


def test_setuid_helpers_that_may_not_be_are_named(store: Path) -> None:
    require_peer("newuidmap")

    def without_new_privileges() -> Diagnosis:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        return _diagnose(store)

    diagnosis = in_child(without_new_privileges, uid=pwd.getpwnam(ORDINARY_USER).pw_uid)
    ids = _check(diagnosis, "ids")
    assert diagnosis.choice.row is Row.ONE_ID
    assert ids.evidence.startswith("one: newuidmap: ")
    assert "no_new_privs" in ids.remedy or "no-new-privileges" in ids.remedy


@pytest.mark.usefixtures("without_proot")
def test_root_whose_namespaces_a_filter_refuses_has_a_bare_chroot(store: Path) -> None:
    diagnosis = in_child(lambda: _refused(store))
    assert diagnosis.choice.row is Row.ROOT_CHROOT
    assert _check(diagnosis, "user-namespace").evidence == "Operation not permitted"
    assert diagnosis.better is not None
    assert (diagnosis.better.row, "apt-get install proot" in diagnosis.better.change) == (Row.ROOT_PROOT, True)


@pytest.mark.usefixtures("with_proot")
@pytest.mark.parametrize(("uid", "row"), [(None, Row.ROOT_PROOT), (LONELY, Row.PROOT)], ids=["root", "user"])
def test_proot_is_chosen_where_a_filter_refuses_namespaces(uid: int | None, row: Row, store: Path) -> None:
    diagnosis = in_child(lambda: _refused(store), uid=uid)
    assert diagnosis.choice.row is row
    assert _check(diagnosis, "proot").value
    assert diagnosis.better is not None
    assert diagnosis.better.change == _check(diagnosis, "user-namespace").remedy
    assert os.listdir(store) == []


@pytest.mark.usefixtures("without_proot")
def test_user_for_whom_nothing_works_is_told_what_to_install(store: Path) -> None:
    diagnosis = in_child(lambda: _refused(store), uid=LONELY)
    assert (diagnosis.choice.row, diagnosis.possible) == (Row.NONE, False)
    assert diagnosis.better is not None
    assert (diagnosis.better.row, "apt-get install proot" in diagnosis.better.change) == (Row.PROOT, True)


def test_machine_that_has_no_user_namespaces_left_says_so(store: Path) -> None:
    def without_any() -> Diagnosis:
        enter()
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
        return _diagnose(store)

    failed = _check(in_child(without_any, uid=LONELY), "user-namespace")
    assert failed.evidence == "No space left on device"
    assert "sysctl user.max_user_namespaces" in failed.remedy


def test_overlay_on_an_overlay_is_refused_and_copy_taken(store: Path) -> None:
    def on_an_overlay() -> Diagnosis:
        enter()
        for name in ("lower", "upper", "work", "mounted"):
            (store / name).mkdir()
        options = [(f"{name}dir", str(store / name)) for name in ("lower", "upper", "work")]
        syscalls.move_mount(syscalls.new_mount("overlay", options), str(store / "mounted"))
        return _diagnose(store / "mounted")

    diagnosis = in_child(on_an_overlay)
    assert (diagnosis.choice.row, diagnosis.choice.snapshotter) == (Row.ROOT, "copy")
    assert _check(diagnosis, "store").value == "overlay"
    assert diagnosis.better is not None
    assert "--root DIR, on a volume" in diagnosis.better.change


def test_store_that_is_not_there_yet_leaves_nothing(store: Path) -> None:
    diagnosis = in_child(lambda: _diagnose(store / "a" / "b"))
    assert diagnosis.possible
    assert os.listdir(store) == []


@pytest.mark.parametrize("kind", ["closed", "no-home"])
def test_machine_without_a_place_for_a_store_is_examined_all_the_same(kind: str, store: Path) -> None:
    store.chmod(0o755)
    diagnosis = in_child(lambda: _diagnose(store / "below" if kind == "closed" else None), uid=LONELY)
    failed = _check(diagnosis, "store")
    assert (failed.passed, diagnosis.possible) == (False, False)
    assert ("Permission denied" in failed.evidence) is (kind == "closed")
    assert "--root DIR" in failed.remedy
    assert diagnosis.choice.row is Row.ONE_ID


def test_machine_without_any_place_gets_one_line(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(store))

    def refused() -> str:
        with pytest.raises(SandboxError) as caught:
            _diagnose(None)
        return str(caught.value)

    message = in_child(refused, uid=LONELY)
    assert message.startswith("there is no place for a store, and none for temporary files: HOME is not set")
    assert "--root DIR" in message


def test_node_that_cannot_be_opened_is_no_node(store: Path) -> None:
    def without_devices() -> Diagnosis:
        enter()
        fd = syscalls.new_mount("tmpfs", [("mode", "1777")], syscalls.MOUNT_ATTR_NODEV)
        syscalls.move_mount(fd, str(store))
        return _diagnose(store)

    failed = _check(in_child(without_devices), "mknod")
    assert failed.evidence == "a device node is made, but cannot be opened: Permission denied on tmpfs"


def test_file_system_without_user_attributes_is_named(store: Path) -> None:
    def on_ramfs() -> Diagnosis:
        enter()
        syscalls.move_mount(syscalls.new_mount("ramfs", [("mode", "1777")]), str(store))
        return _diagnose(store)

    failed = _check(in_child(on_ramfs), "user-xattr")
    assert failed.evidence == "Operation not supported on ramfs"


def _refuse() -> int:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


NEW_MOUNT = syscalls.new_mount
REFUSALS: dict[str, tuple[str, Callable[..., int]]] = {
    "overlay": ("new_mount", lambda kind, *_: _refuse() if kind == "overlay" else NEW_MOUNT(kind, *_)),
    "proc": ("new_mount", lambda kind, *_: _refuse() if kind == "proc" else NEW_MOUNT(kind, *_)),
    "step": ("pivot_root", lambda *_: _refuse()),
    "ptrace": ("ptrace", lambda *_: _refuse()),
    "seccomp-notification": ("set_filter", lambda _program, flags: _refuse() if flags else 0),
    "landlock": ("landlock_abi", _refuse),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_refused_is_named_with_a_remedy(name: str, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    function, refusal = REFUSALS[name]
    monkeypatch.setattr(syscalls, function, refusal)
    failed = _check(in_child(lambda: _diagnose(store)), name)
    assert not failed.passed
    assert "Operation not permitted" in failed.evidence
    assert failed.remedy


def test_proot_that_does_not_run_is_no_proot(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "proot"
    program.write_text("#!/bin/sh\nprintf 'proot 9.8.7\\nproot error: ptrace(TRACEME): not today\\n'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert shutil.which("proot") == str(program)
    failed = _check(in_child(lambda: _diagnose(store)), "proot")
    assert not failed.passed
    assert failed.evidence == f"{program} does not work here: proot 9.8.7 proot error: ptrace(TRACEME): not today"


def test_proot_is_the_one_that_a_build_takes(store: Path, tmp_path: Path) -> None:
    real, old = require_peer("proot"), tmp_path / "old"
    old.write_text("#!/bin/sh\necho 'proot 4.0.3'\n")
    old.chmod(0o755)
    missing = str(tmp_path / "missing")

    def found(environ: dict[str, str], proot: str | None) -> Check:
        return _check(in_child(lambda: diagnose(str(store), environ, Forced(), proot=proot)), "proot")

    assert found({}, real).passed
    assert found({"OCIBUILD_PROOT": real}, str(old)).passed
    too_old = found({}, str(old))
    assert (too_old.evidence, too_old.remedy) == (
        f"{old} is proot 4.0.3, which is too old", "install proot 5.1 or newer"
    )  # fmt: skip
    assert found({"OCIBUILD_PROOT": missing}, real).evidence == f"OCIBUILD_PROOT: {missing}: no such program"


def test_user_inside_a_user_namespace_may_have_another(store: Path) -> None:
    require_peer("newuidmap")

    def nested() -> Diagnosis:
        enter()
        become_user(1000)
        return _diagnose(store)

    assert in_child(nested, uid=pwd.getpwnam(ORDINARY_USER).pw_uid).choice.row is Row.ONE_ID


def test_what_is_forced_and_cannot_be_has_no_better_row(store: Path) -> None:
    diagnosis = in_child(lambda: _diagnose(store, executor="proot", snapshotter="overlay"))
    assert (diagnosis.choice.row, diagnosis.better) == (Row.NONE, None)
