from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from ocibuild.errors import CannotStart
from ocibuild.executor import Process
from ocibuild.executor.chroot import ChrootExecutor
from ocibuild.executor.elf import PROCESSORS, counting_program, pattern
from ocibuild.executor.foreign import find_emulator, ways
from ocibuild.oci import Platform
from ocibuild.sandbox import Folder, Foreign, Handler
from ocibuild.sandbox.binfmt import Handlers
from ocibuild.sandbox.syscalls import CLONE_NEWNS, CLONE_NEWUSER, new_mount, setns, unshare
from tests.support.lab import LONELY, Ended, Lab, in_child, in_lab, needs_busybox, needs_root
from tests.support.peers import require_peer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.store import Snapshot

Result = TypeVar("Result")
HOST = Platform.host()
FOREIGN = [Platform("linux", name) for name in PROCESSORS if name != HOST.architecture]
ARM64 = Platform("linux", "riscv64" if HOST.architecture == "arm64" else "arm64")
users = pytest.mark.parametrize("uid", [None, LONELY], ids=["root", "one-id"])


def counting(folder: Path, architecture: str = ARM64.architecture) -> None:
    """Put a foreign program, and scripts that come to it, into a folder."""
    (folder / "count").write_bytes(counting_program(PROCESSORS[architecture]))
    (folder / "script").write_text("#!/count given here\n")
    (folder / "second").write_text("#! /script\n")
    for name in ("count", "script", "second"):
        (folder / name).chmod(0o755)


def _become_a_machine(handlers: list[Handler]) -> None:
    """Go where root has all that it had, but for another binfmt_misc and other limits: a user namespace."""
    setns(Handlers().namespace(handlers), CLONE_NEWUSER)
    unshare(CLONE_NEWNS)


def _stack(made: Lab) -> list[Snapshot]:
    return [*made.base, made.snapshot(counting)]


def _statuses(made: Lab, platform: Platform) -> list[int]:
    """Return what each way of running a program of the platform in qemu gives; -1 is that it cannot be run.

    Whether the machine runs it by itself is its own affair.
    """
    emulator = find_emulator(platform, os.get_exec_path())
    statuses = []
    for way in (way for way in ways(platform, HOST, emulator) if way.handlers or way.emulator):
        with made.store.snapshots.begin() as active:
            tree = Path(active.scratch, "tree")
            tree.mkdir()
            counting(tree, platform.architecture)
            process = Process(args=("/count", "one", "two"), env=())
            try:
                statuses.append(made.executor._attempt(process, Folder(str(tree)), active.scratch, way))
            except CannotStart:
                statuses.append(-1)
    return statuses


@needs_root
@needs_busybox
@users
def test_every_way_runs_programs_of_every_platform(uid: int | None, tmp_path: Path) -> None:
    require_peer("qemu-aarch64-static")
    found = in_lab(tmp_path, lambda made: {str(p): _statuses(made, p) for p in FOREIGN}, uid=uid)
    assert found == {str(platform): [3, 3, 3] for platform in FOREIGN}


@needs_root
@needs_busybox
@users
def test_step_of_another_platform_runs_what_it_starts(uid: int | None, tmp_path: Path) -> None:
    require_peer("qemu-aarch64-static")

    def work(made: Lab) -> tuple[Ended, int]:
        ended = made.sh("/count; echo $?; /script x; echo $?; /second; echo $?", stack=_stack(made), platform=ARM64)
        return ended, made.run("/count", "x", stack=_stack(made), platform=ARM64).status

    ended, status = in_lab(tmp_path, work, uid=uid)
    assert (ended.out.split(), ended.err, status) == (["1", "4", "4"], "", 2)


@needs_root
@needs_busybox
@users
def test_where_the_kernel_refuses_qemu_is_put_before_the_command(uid: int | None, tmp_path: Path) -> None:
    """As before Linux 6.7: here no user namespace may be made below that of the build."""
    require_peer("qemu-aarch64-static")
    warnings: list[str] = []

    def work(made: Lab) -> tuple[list[int], Ended, list[str], str]:
        made.executor = ChrootExecutor(made.spawner, made.identity, warn=warnings.append)
        commands = [["/count", "x"], ["/script", "x"], ["/second"], ["/bin/sh", "-c", "exit 9"], ["count", "x", "y"]]
        env = ("PATH=/bin:/",)
        statuses = [made.run(*words, stack=_stack(made), platform=ARM64, env=env).status for words in commands]
        started = made.sh("/count a b 2> /dev/null", stack=_stack(made), platform=ARM64)
        return statuses, started, warnings, made.sh("ls -A /dev", platform=HOST).out

    def on_a_machine_of_its_own() -> tuple[list[int], Ended, list[str], str]:
        _become_a_machine([])
        return in_lab(tmp_path, lambda made: _without_namespaces(made, work), uid=uid)

    statuses, started, said, devices = in_child(on_a_machine_of_its_own)
    assert statuses == [2, 4, 4, 9, 3]
    assert started.status not in (0, 3)
    assert len(said) == 1
    assert said[0].startswith(f"{ARM64}: qemu runs the first program of each step only")
    assert "emulator" not in devices


def _without_namespaces(made: Lab, work: Callable[[Lab], Result]) -> Result:
    """Do ``work`` in the user namespace that we have, below which there can be no other."""
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    return work(made)


@needs_root
@needs_busybox
def test_what_the_machine_has_registered_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine, for that, is a user namespace in which qemu is registered; the build finds no qemu of its own."""
    emulator = require_peer("qemu-aarch64-static")
    emulator = str(find_emulator(ARM64, [os.path.dirname(emulator)]))
    start, mask = pattern(PROCESSORS[ARM64.architecture])
    handler = Handler("it", start.hex(), mask.hex(), emulator, keeps_argv0=True)

    def work() -> int:
        _become_a_machine([handler])
        monkeypatch.setenv("PATH", "/nowhere")
        return in_lab(tmp_path, lambda made: made.run("/count", stack=_stack(made), platform=ARM64).status)

    assert in_child(work) == 1


@needs_root
@needs_busybox
def test_the_machines_own_registrations_stay_as_they_are(tmp_path: Path) -> None:
    require_peer("qemu-aarch64-static")

    def registered() -> list[str]:
        unshare(CLONE_NEWNS)
        mounted = new_mount("binfmt_misc", [])
        return sorted(os.listdir(os.open(".", os.O_RDONLY, dir_fd=mounted)))

    before = in_child(registered)
    status = in_lab(tmp_path, lambda made: made.run("/count", stack=_stack(made), platform=ARM64).status)
    assert status == 1
    assert in_child(registered) == before


@needs_root
@needs_busybox
@users
def test_without_an_emulator_the_platform_is_named(
    uid: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    odd = Platform("linux", "sparc64")

    def work(made: Lab) -> list[tuple[str, str | None, int]]:
        found = []
        for platform in (ARM64, odd):
            with pytest.raises(CannotStart) as caught:
                made.run("/count", stack=_stack(made), platform=platform)
            found.append((caught.value.message, caught.value.remedy, caught.value.exit_status))
        return found

    assert in_lab(tmp_path, work, uid=uid) == [
        (f"/count: this machine runs no programs for {platform}", "install qemu-user-static", 126)
        for platform in (ARM64, odd)
    ]


@needs_root
@needs_busybox
@users
def test_native_programs_run_whatever_platform_an_image_names(
    uid: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert in_lab(tmp_path, lambda made: made.sh("exit 5", platform=ARM64).status, uid=uid) == 5


@needs_root
@needs_busybox
@users
def test_insecure_step_of_another_platform_may_mount(uid: int | None, tmp_path: Path) -> None:
    require_peer("qemu-aarch64-static")

    def work(made: Lab) -> Ended:
        return made.sh("mount -t tmpfs none /tmp && /count x", stack=_stack(made), platform=ARM64, insecure=True)

    assert in_lab(tmp_path, work, uid=uid).status == 2


@pytest.mark.skipif(HOST.architecture != "amd64", reason="another processor's own affair")
@needs_root
@needs_busybox
def test_machine_of_32_bits_says_so(tmp_path: Path) -> None:
    assert (
        in_lab(tmp_path, lambda made: made.run("/bin/busybox", "uname", "-m", platform=Platform("linux", "386")).out)
        == "i686\n"
    )


def test_emulator_is_static_and_found_by_qemus_names(tmp_path: Path) -> None:
    static, dynamic = require_peer("busybox"), str(shutil.which("sh"))
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    folders = [str(first), str(second)]
    shutil.copy(dynamic, first / "qemu-aarch64")
    assert find_emulator(Platform("linux", "arm64", "v8"), folders) is None
    shutil.copy(static, second / "qemu-aarch64")
    assert find_emulator(Platform("linux", "arm64"), folders) == str(second / "qemu-aarch64")
    shutil.copy(static, second / "qemu-arm-static")
    for variant in ("v5", "v6", "v7"):
        assert find_emulator(Platform("linux", "arm", variant), folders) == str(second / "qemu-arm-static")
    (second / "qemu-arm-static").chmod(0o644)
    assert find_emulator(Platform("linux", "arm"), folders) is None or os.geteuid() == 0
    assert find_emulator(Platform("linux", "sparc64"), folders) is None


def test_ways_without_an_emulator_are_the_machines_own() -> None:
    assert list(ways(ARM64, HOST, None)) == [Foreign(str(ARM64))]
    assert list(ways(Platform("linux", "sparc64"), HOST, None)) == []
    amd64, arm64 = Platform("linux", "amd64"), Platform("linux", "arm64")
    assert list(ways(Platform("linux", "386"), amd64, None)) == [Foreign("linux/386", short=True)]
    assert list(ways(Platform("linux", "arm", "v6"), arm64, None)) == [Foreign("linux/arm/v6", short=True)]
