from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ocibuild.sandbox import Bind, FileSystem, Mount, Overlay, StepSpec, Sysfs, syscalls
from ocibuild.sandbox.mounts import dump, load
from ocibuild.sandbox.specs import load_spec
from tests.support.lab import LONELY, Lab, in_lab, needs_busybox, needs_root

if TYPE_CHECKING:
    from pathlib import Path

MOUNTS: list[Mount | Overlay] = [
    Overlay(["/a", "/b"], "/upper", "/work", "/scratch"),
    Overlay(["/a"], None, None, "/scratch"),
    Bind("/dev/null", "/dev/null", read_only=True),
    Bind("/x\udcff", "/y"),
    FileSystem("tmpfs", "/dev", (("mode", "755"), ("size", None)), devices=True),
    Sysfs(),
]


@pytest.mark.parametrize("mount", MOUNTS, ids=str)
def test_mount_is_the_same_after_json(mount: Mount | Overlay) -> None:
    spec = StepSpec(
        root=MOUNTS[0],  # type: ignore[arg-type]
        mounts=[mount],  # type: ignore[list-item]
        links=[("/proc/self/fd", "/dev/fd")],
        args=["sh", "-c", "é\udcff"],
        env=["A=b"],
        user="app",
        working_dir="/",
        hostname="h",
        own_network=True,
        extra_groups=False,
    )
    assert _plain(load(dump(mount))) == _plain(mount)
    assert _plain(load_spec(spec.to_json())) == _plain(spec)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [type(value).__name__ if hasattr(value, "_fields") else "", *map(_plain, value)]
    return value


def _refuse_new_options(kind: str, options: Any, attributes: int = 0) -> int:
    if any(key == "lowerdir+" for key, _ in options):
        raise OSError(errno.EINVAL, "as kernels do that have no lowerdir+")
    return _NEW_MOUNT(kind, options, attributes)


_NEW_MOUNT = syscalls.new_mount

ways = pytest.mark.parametrize("old_kernel", [False, True], ids=["fsconfig", "mount-by-string"])
users = pytest.mark.parametrize("uid", [None, LONELY], ids=["root", "one-id"])


@needs_root
@needs_busybox
@ways
@users
@pytest.mark.parametrize("layers", [0, 130])
def test_stack_of_many_layers_is_mounted(
    layers: int, old_kernel: bool, uid: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if old_kernel:
        monkeypatch.setattr(syscalls, "new_mount", _refuse_new_options)

    def work(made: Lab) -> tuple[list[str], list[str], str]:
        stack = [made.snapshot(lambda folder, n=n: _fill(folder, n)) for n in range(layers)]  # type: ignore[misc]
        with made.snapshotter.reading(stack) as root:
            found = sorted(os.listdir(root.fd), key=int)
        with made.store.snapshots.begin() as active:
            with made.snapshotter.writing(stack, active) as root:
                os.close(os.open("7", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, dir_fd=root.fd))
            written = os.listdir(active.upper)
        return found, written, made.run("/bin/sh", "-c", "ls -d /[0-9]* | wc -l", stack=[*made.base, *stack]).out

    found, written, seen = in_lab(tmp_path, work, uid=uid)
    assert found == [str(n) for n in range(layers)]
    assert written == ["7"]
    assert seen == f"{layers}\n"


def _fill(folder: Path, n: int) -> None:
    (folder / str(n)).touch()


@needs_root
@needs_busybox
@ways
@pytest.mark.parametrize(
    "name", ["a b", "a,b", "a:b", "a\\b", "a\\:b,c d", "upperdir=x", "é" * 20, "x" * 240], ids=lambda name: name[:12]
)
def test_store_may_have_any_name(name: str, old_kernel: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if old_kernel:
        monkeypatch.setattr(syscalls, "new_mount", _refuse_new_options)
    folder = tmp_path / name
    folder.mkdir()

    def work(made: Lab) -> tuple[str, list[str]]:
        with made.store.snapshots.begin() as active:
            ended = made.run_in(active, "/bin/sh", "-c", "echo new > /tmp/new; cat /tmp/new")
            return ended.out, os.listdir(os.path.join(active.upper, "tmp"))

    assert in_lab(folder, work) == ("new\n", ["new"])


@needs_root
@needs_busybox
def test_threads_that_mount_by_string_do_not_see_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "new_mount", _refuse_new_options)

    def work(made: Lab) -> set[str]:
        stacks = [[made.snapshot(lambda folder, n=n: _fill(folder, n))] for n in range(4)]  # type: ignore[misc]
        wrong: set[str] = set()

        def read(n: int) -> None:
            for _ in range(50):
                try:
                    with made.snapshotter.reading(stacks[n]) as root:
                        found = os.listdir(root.fd)
                except OSError as error:
                    found = [repr(error)]
                if found != [str(n)]:
                    wrong.add(f"{n}: {found}")

        threads = [threading.Thread(target=read, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return wrong | set(os.listdir(os.path.join(made.store.root, "mount-point")))

    assert in_lab(tmp_path, work) == set()
