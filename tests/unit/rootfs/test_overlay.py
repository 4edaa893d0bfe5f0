from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from ocibuild.fs import Root
from ocibuild.layer.changes import Changed, Opaque, Removed
from ocibuild.layer.merged import Merged
from ocibuild.rootfs.changes import changes
from tests.support.lab import LONELY, Lab, in_lab, needs_busybox, needs_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [needs_root, needs_busybox]
users = pytest.mark.parametrize("uid", [None, LONELY], ids=["root", "one-id"])

# what a step does, and what it changes; below is /d with one, two and deep/er, and the file /f
STEPS = {
    "nothing": ("true", []),
    "new-file": ("echo > /new", [Changed("new")]),
    "changed-file": ("echo more >> /f", [Changed("f")]),
    "removed-file": ("rm /f", [Removed("f")]),
    "removed-directory": ("rm -r /d", [Removed("d")]),
    "removed-below": ("rm /d/one", [Changed("d"), Removed("d/one")]),
    "replaced-directory": ("rm -r /d; mkdir /d; touch /d/x", [Changed("d"), Opaque("d"), Changed("d/x")]),
    "directory-for-file": ("rm /f; mkdir /f", [Changed("f")]),
    "file-for-directory": ("rm -r /d; touch /d", [Changed("d")]),
    "made-and-removed": ("touch /new; rm /new; mkdir /dir; rmdir /dir", []),
    "mode": ("chmod 600 /d/two", [Changed("d"), Changed("d/two")]),
    "link": ("ln -s /f /l", [Changed("l")]),
    "hard-links": ("ln /f /g", [Changed("f"), Changed("g")]),
    "order": ("mkdir /n; touch /n.a /n/z /n/a /n-", [Changed(n) for n in ("n", "n/a", "n/z", "n-", "n.a")]),
    "mounts": ("echo x > /etc/hosts; echo y > /etc/resolv.conf; touch /dev/x /dev/shm/y", []),
}


def _base(folder: Path) -> None:
    (folder / "d/deep/er").mkdir(parents=True)
    for name in ("f", "d/one", "d/two"):
        (folder / name).write_text(f"{name}\n")


def _changes_of(made: Lab, script: str) -> list[object]:
    stack = [*made.base, made.snapshot(_base)]
    with made.store.snapshots.begin() as active:
        ended = made.run_in(active, "/bin/sh", "-c", script, stack=stack, forget=True)
        assert ended.status == 0, ended.err
        paths = [snapshot.path for snapshot in reversed(stack)]
        with ExitStack() as opened:
            upper, *lowers = [opened.enter_context(Root.open(path)) for path in (active.upper, *paths)]
            return list(changes(upper, lambda: Merged(lowers)))


@pytest.mark.parametrize("copies", [False, True], ids=["overlay", "copy"])
@users
@pytest.mark.parametrize(("script", "expected"), STEPS.values(), ids=STEPS)
def test_changes_of_a_step_are_in_its_snapshot(
    script: str, expected: list[object], uid: int | None, copies: bool, tmp_path: Path
) -> None:
    assert in_lab(tmp_path, lambda made: _changes_of(made, script), uid=uid, copies=copies) == expected


def _packed(made: Lab, script: str) -> tuple[str, bytes]:
    stack = [*made.base, made.snapshot(_base)]
    with made.store.snapshots.begin() as active:
        ended = made.run_in(active, "/bin/sh", "-c", script, stack=stack)
        assert ended.status == 0, ended.err
        snapshot = active.commit()
    layer = made.snapshotter.pack(stack, snapshot)
    assert made.snapshotter.pack(stack, snapshot) == layer
    with made.store.blobs.open(layer.descriptor.digest) as blob:
        return str(layer.diff_id), blob.read()


@users
def test_packing_twice_gives_the_same_bytes_with_whiteouts_and_links(uid: int | None, tmp_path: Path) -> None:
    script = "rm /f; rm -r /d; mkdir /d; echo 1 > /d/a; ln /d/a /d/b; ln -s a /d/l; touch -d @1000 /d/a"
    diff_id, blob = in_lab(tmp_path, lambda made: _packed(made, script), uid=uid)
    tar = gzip.decompress(blob)
    assert diff_id == f"sha256:{hashlib.sha256(tar).hexdigest()}"
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        found = [(member.name, member.type, member.linkname, member.uid) for member in archive]
    assert found == [
        ("d", tarfile.DIRTYPE, "", 0),
        ("d/.wh..wh..opq", tarfile.REGTYPE, "", 0),
        ("d/a", tarfile.REGTYPE, "", 0),
        ("d/b", tarfile.LNKTYPE, "d/a", 0),
        ("d/l", tarfile.SYMTYPE, "a", 0),
        (".wh.f", tarfile.REGTYPE, "", 0),
    ]


REMOVED = [("/etc/hosts", True, []), ("/etc", True, []), ("/proc", False, ["proc"])]


@pytest.mark.parametrize(("removed", "reported", "expected"), REMOVED, ids=[row[0] for row in REMOVED])
def test_files_of_mounts_that_an_image_removed_are_no_change_but_directories_are(
    removed: str, expected: list[str], tmp_path: Path, *, reported: bool
) -> None:
    def fill(folder: Path) -> None:
        whiteout = folder / removed.lstrip("/")
        whiteout.parent.mkdir(exist_ok=True)
        os.mknod(whiteout, 0o20000, 0)

    def work(made: Lab) -> tuple[tuple[str, ...], list[str]]:
        stack = [*made.base, made.snapshot(fill)]
        with made.store.snapshots.begin() as active:
            ended = made.run_in(active, "/bin/sh", "-c", "test -s /etc/hosts && test -d /proc/self", stack=stack)
            assert ended.status == 0
            made.snapshotter.forget_targets(active, ended.created)
            with Root.open(active.upper) as upper:
                return ended.created, [name for name, _ in upper.walk()]

    created, left = in_lab(tmp_path, work)
    assert (removed in created) is reported
    assert [name for name in left if name != "etc"] == expected


def test_what_was_put_into_a_made_target_is_kept(tmp_path: Path) -> None:
    def work(made: Lab) -> bool:
        with made.store.snapshots.begin() as active:
            os.makedirs(os.path.join(active.upper, "made/sub"))
            with open(os.path.join(active.upper, "made/file"), "w") as file:
                file.write("kept")
            made.snapshotter.forget_targets(active, ["/made/file", "/made/sub", "/made", "/gone", "/made/file/below"])
            return os.listdir(os.path.join(active.upper, "made")) == ["file"]

    assert in_lab(tmp_path, work)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_umask_of_the_builder_is_not_seen_in_a_step(umask: int, tmp_path: Path) -> None:
    def work() -> Callable[[Lab], str]:
        def inside(made: Lab) -> str:
            script = "cat /etc/hosts /etc/resolv.conf > /dev/null && stat -c %a / /etc /proc /etc/hosts && umask"
            return made.run("/bin/sh", "-c", script, user="1000", stack=[made.base[0]]).out

        return inside

    old = os.umask(umask)
    try:
        found = in_lab(tmp_path, work())
    finally:
        os.umask(old)
    root, _, proc, hosts, step = found.split()
    assert (root, proc, hosts, step) == ("755", "555", "644", "0022")


def test_layer_with_an_opaque_root_hides_all_that_is_below(tmp_path: Path) -> None:
    def hide(folder: Path) -> None:
        (folder / "kept").write_text("kept\n")
        os.setxattr(folder, "user.overlay.opaque", b"y")

    def look(made: Lab) -> list[str]:
        with made.snapshotter.reading([made.snapshot(_base), made.snapshot(hide)]) as tree:
            return sorted(os.listdir(tree.fd))

    assert in_lab(tmp_path, look) == ["kept"]


def test_builds_that_look_at_one_store_at_once_do_not_see_each_other(tmp_path: Path) -> None:
    def look_often(made: Lab) -> list[str | None]:
        with ThreadPoolExecutor(4) as pool:
            looks = [pool.submit(made.snapshotter.refusal) for _ in range(200)]  # type: ignore[attr-defined]
        return [look.result() for look in looks]

    assert set(in_lab(tmp_path, look_often)) == {None}
