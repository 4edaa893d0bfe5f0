"""Trees that are copies: what is changed in one gives the layer that overlayfs would have given."""

# mypy: disable-error-code="func-returns-value"

from __future__ import annotations

import io
import os
import shutil
import socket
import stat
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ocibuild.errors import InvalidLayer, SandboxError
from ocibuild.fs import Root
from ocibuild.layer.compression import decompress
from ocibuild.layer.owners import RecordedOwners
from ocibuild.oci import Compression
from ocibuild.rootfs.copy import CopySnapshotter
from ocibuild.rootfs.index import Index
from ocibuild.rootfs.overlay import OverlaySnapshotter
from ocibuild.store import Store
from tests.support.lab import LONELY, Lab, in_child, in_lab, needs_busybox, needs_root, open_way

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.layer.changes import Change
    from ocibuild.rootfs.snapshotter import Snapshotter
    from ocibuild.store import Snapshot

    Entries = list[tuple[object, ...]]

pytestmark = [needs_root, needs_busybox]
users = pytest.mark.parametrize("uid", [None, LONELY], ids=["root", "one-id"])

OLD = 1_000_000_000
LONG = "n" * 255


def base(folder: Path) -> None:
    (folder / "d/deep/er").mkdir(parents=True)
    for name in ("f", "d/one", "d/two", "d/deep/er/leaf", "keep"):
        (folder / name).write_text(f"{name}\n")
    (folder / "link").symlink_to("f")
    os.mkfifo(folder / "pipe")
    os.setxattr(folder / "keep", "user.kept", b"yes")
    (folder / "closed").write_text("closed\n")
    (folder / "closed").chmod(0)
    for path in sorted(folder.rglob("*"), reverse=True):
        os.utime(path, (OLD, OLD), follow_symlinks=False)


def _same_size_and_time(tree: Path) -> None:
    before = (tree / "f").stat()
    (tree / "f").write_text("F\n")
    os.utime(tree / "f", ns=(before.st_atime_ns, before.st_mtime_ns))


def _deep(tree: Path) -> None:
    fd = os.open(tree, os.O_RDONLY)
    for _ in range(120):
        os.mkdir("x" * 60, dir_fd=fd)
        below = os.open("x" * 60, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)


def _socket(tree: Path, name: str) -> None:
    (tree / name).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.fspath(tree / name))


def _replace_directory(tree: Path) -> None:
    shutil.rmtree(tree / "d")
    (tree / "d").mkdir()
    (tree / "d/new").write_text("new\n")


def _move_directory(tree: Path) -> None:
    """As mv(1) does where rename(2) is refused, which overlayfs does and a plain folder does not."""
    shutil.move(tree / "d", tree / "e")


def _links(tree: Path) -> None:
    (tree / "one").write_text("linked\n")
    os.link(tree / "one", tree / "d/two-of-it")
    os.link(tree / "f", tree / "g")


CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda tree: None,
    "new": lambda tree: (tree / "new").write_text("new\n"),
    "new-below": lambda tree: (tree / "d/deep/er/new").write_text("new\n"),
    "removed": lambda tree: (tree / "d/one").unlink(),
    "removed-directory": lambda tree: shutil.rmtree(tree / "d/deep"),
    "emptied-directory": lambda tree: [(tree / "d/one").unlink(), (tree / "d/two").unlink()],
    "replaced-directory": _replace_directory,
    "file-for-directory": lambda tree: [shutil.rmtree(tree / "d"), (tree / "d").write_text("file\n")],
    "directory-for-file": lambda tree: [(tree / "f").unlink(), (tree / "f").mkdir()],
    "link-for-directory": lambda tree: [shutil.rmtree(tree / "d"), (tree / "d").symlink_to("/f")],
    "file-for-link": lambda tree: [(tree / "link").unlink(), (tree / "link").write_text("file\n")],
    "moved-file": lambda tree: (tree / "f").rename(tree / "d/moved"),
    "moved-over": lambda tree: (tree / "f").rename(tree / "keep"),
    "moved-directory": _move_directory,
    "moved-new-directory": lambda tree: [(tree / "n").mkdir(), (tree / "n").rename(tree / "m")],
    "links": _links,
    "same-size-and-time": _same_size_and_time,
    "mode": lambda tree: (tree / "d/two").chmod(0o4750),
    "mode-of-directory": lambda tree: (tree / "d/deep").chmod(0o2711),
    "mode-as-before": lambda tree: (tree / "f").chmod(stat.S_IMODE((tree / "f").stat().st_mode)),
    "mode-none": lambda tree: (tree / "d/one").chmod(0),
    "times": lambda tree: os.utime(tree / "d/one", (OLD + 5, OLD + 6)),
    "times-of-link": lambda tree: os.utime(tree / "link", (OLD + 5, OLD + 6), follow_symlinks=False),
    "xattr": lambda tree: os.setxattr(tree / "f", "user.new", b"value"),
    "xattr-of-directory": lambda tree: os.setxattr(tree / "d", "user.new", b"value"),
    "xattr-gone": lambda tree: os.removexattr(tree / "keep", "user.kept"),
    "empty-directories": lambda tree: [(tree / "e").mkdir(0o700), (tree / "e/ee").mkdir()],
    "deep": _deep,
    "long-names": lambda tree: [(tree / LONG).mkdir(), (tree / LONG / LONG).write_text("long\n")],
    "odd-names": lambda tree: [(tree / os.fsdecode(name)).write_text("odd\n") for name in (b"\xff\xfe", b"a\nb", b"-")],
    "socket": lambda tree: _socket(tree, "new"),
    "socket-for-file": lambda tree: _socket(tree, "f"),
    "fifo": lambda tree: os.mkfifo(tree / "d/pipe", 0o640),
    "symlinks": lambda tree: [(tree / "d/l").symlink_to("x" * 4000), (tree / "loop").symlink_to("loop")],
    "made-and-removed": lambda tree: [(tree / "d/x").write_text(""), (tree / "d/x").unlink()],
    "sparse": lambda tree: os.truncate(os.open(tree / "big", os.O_CREAT | os.O_WRONLY), 1 << 20),
}
AS_ROOT: dict[str, Callable[[Path], object]] = {
    "owner": lambda tree: os.chown(tree / "d/one", 5, 6),
    "owner-of-directory": lambda tree: os.chown(tree / "d", 5, -1),
    "owner-of-link": lambda tree: os.chown(tree / "link", 7, 8, follow_symlinks=False),
    "devices": lambda tree: [
        os.mknod(tree / "c", stat.S_IFCHR | 0o620, os.makedev(1, 3)),
        os.mknod(tree / "b", 0o60600),
    ],
    "capabilities": lambda tree: os.setxattr(
        tree / "f", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000")
    ),
    "setuid-and-owner": lambda tree: [os.chown(tree / "f", 5, 6), (tree / "f").chmod(0o6755)],
}


def change_with(
    made: Lab, snapshotter: Snapshotter, stack: Sequence[Snapshot], change: Callable[[Path], object]
) -> Snapshot:
    with made.store.snapshots.begin() as active:
        with snapshotter.writing(stack, active) as root:
            change(Path(f"/proc/self/fd/{root.fd}"))
        return active.commit()


def layer_of(made: Lab, snapshotter: Snapshotter, stack: Sequence[Snapshot], snapshot: Snapshot) -> Entries:
    """Return all that the packed layer says; of times those that are not of today."""
    layer = snapshotter.pack(stack, snapshot)
    with made.store.blobs.open(layer.descriptor.digest) as blob:
        plain = b"".join(decompress(blob, Compression.GZIP))
    recent = time.time() - 3600
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        return [
            (
                member.name, member.type, member.mode, member.uid, member.gid, member.linkname,
                (member.devmajor, member.devminor), None if member.mtime > recent else member.mtime,
                {key: value for key, value in member.pax_headers.items() if "xattr" in key},
                archive.extractfile(member).read() if member.isreg() else None,  # type: ignore[union-attr]
            )
            for member in archive
        ]  # fmt: skip


def show(snapshotter: Snapshotter, stack: Sequence[Snapshot]) -> Entries:
    """Return what a tree shows, without directories' times."""
    found: Entries = []
    with snapshotter.reading(stack) as root:
        for name, status in root.walk():
            if stat.S_ISSOCK(status.st_mode):
                continue
            content: object = None
            if stat.S_ISREG(status.st_mode):
                with open(f"/proc/self/fd/{root.fd}/{name}", "rb") as file:
                    content = file.read()
            elif stat.S_ISLNK(status.st_mode):
                content = root.readlink(name)
            is_folder = stat.S_ISDIR(status.st_mode)
            numbers = None if is_folder else (status.st_size, status.st_mtime_ns, status.st_rdev)
            found.append((name, status.st_mode, status.st_uid, status.st_gid, numbers, content))
    return found


def both(made: Lab, change: Callable[[Path], object]) -> tuple[list[Entries], list[Entries]]:
    """Make a change with each snapshotter; return the layers, and what the tree is for whoever comes next."""
    stack = [made.snapshot(base)]
    snapshotters: list[Snapshotter] = [
        OverlaySnapshotter(made.store, made.ownership),
        CopySnapshotter(made.store, made.ownership),
    ]
    layers, trees = [], []
    for snapshotter in snapshotters:
        snapshotter.prepare()
        snapshot = change_with(made, snapshotter, stack, change)
        layers.append(layer_of(made, snapshotter, stack, snapshot))
        if change is not _deep:  # a tree without end for names that are paths
            trees.append(show(snapshotter, [*stack, snapshot]))
            fresh = CopySnapshotter(made.store, made.ownership)
            trees.append(show(fresh, [*stack, snapshot]))
            fresh.close()
        snapshotter.close()
    return layers, trees


def _all_rows(made: Lab, rows: dict[str, Callable[[Path], object]]) -> list[str]:
    wrong = []
    for name, change in rows.items():
        (mounted, copied), trees = both(made, change)
        if mounted != copied:
            wrong.append(f"{name}: {mounted} is not {copied}")
        # the two of one snapshotter are of the same moment
        if trees and (trees[0] != trees[1] or trees[2] != trees[3]):
            wrong.append(f"{name}: {trees}")
    return wrong


@users
def test_a_change_gives_the_same_layer_and_tree_as_with_overlayfs(uid: int | None, tmp_path: Path) -> None:
    rows = CHANGES if uid else CHANGES | AS_ROOT
    assert in_lab(tmp_path, lambda made: _all_rows(made, rows), uid=uid) == []


def test_what_a_layer_hides_is_not_in_the_tree_of_a_later_step(tmp_path: Path) -> None:
    def work(made: Lab) -> list[str]:
        stack = [made.snapshot(base)]
        for change in (_replace_directory, lambda tree: (tree / "f").unlink(), lambda tree: (tree / "d/f").mkdir()):
            stack.append(change_with(made, made.snapshotter, stack, change))
        fresh = CopySnapshotter(made.store, made.ownership)
        with fresh.reading(stack) as root:
            found = [name for name, _ in root.walk()]
        fresh.close()
        return found

    expected = ["closed", "d", "d/f", "d/new", "keep", "link", "pipe"]
    assert in_lab(tmp_path, work, copies=True) == expected


def test_a_name_that_goes_is_no_change_of_the_other_names_of_its_file(tmp_path: Path) -> None:
    def work(made: Lab) -> list[list[object]]:
        stack = [made.snapshot(base)]
        stack.append(change_with(made, made.snapshotter, stack, _links))

        def rewrite(tree: Path) -> None:
            before = (tree / "d/two-of-it").stat()
            (tree / "d/two-of-it").write_text("LINKED\n")
            os.utime(tree / "d/two-of-it", ns=(before.st_atime_ns, before.st_mtime_ns))
            (tree / "one").unlink()

        layers = []
        for change in (lambda tree: (tree / "g").unlink(), rewrite):
            snapshot = change_with(made, made.snapshotter, stack, change)
            layers.append([row[0] for row in layer_of(made, made.snapshotter, stack, snapshot)])
            stack.append(snapshot)
        return layers

    assert in_lab(tmp_path, work, copies=True) == [[".wh.g"], ["d", "d/two-of-it", ".wh.one"]]


def test_times_of_access_of_links_and_pipes_stay(tmp_path: Path) -> None:
    """They can carry no extended attribute, so that something may be recorded there."""

    def work(made: Lab) -> list[tuple[int, int]]:
        stack = [made.snapshot(base)]

        def touch(tree: Path) -> None:
            for name in ("link", "pipe"):
                os.utime(tree / name, ns=(12_345_678_901, 5), follow_symlinks=False)

        stack.append(change_with(made, made.snapshotter, stack, touch))
        fresh = CopySnapshotter(made.store, made.ownership)
        with fresh.reading(stack) as root:
            found = [root.lstat(name) for name in ("link", "pipe")]
        fresh.close()
        return [(status.st_atime_ns, status.st_mtime_ns) for status in found]

    assert in_lab(tmp_path, work, copies=True) == [(12_345_678_901, 5)] * 2


def test_a_device_0_0_is_refused(tmp_path: Path) -> None:
    def work(made: Lab) -> str:
        with pytest.raises(InvalidLayer) as caught:
            change_with(made, made.snapshotter, [made.snapshot(base)], lambda tree: os.mknod(tree / "w", stat.S_IFCHR))
        return caught.value.message

    assert "'w': a character device 0:0" in in_lab(tmp_path, work, copies=True)


@pytest.mark.parametrize("file_system", ["overlay", "ramfs", "tmpfs"])
def test_store_is_on_any_file_system(file_system: str, tmp_path: Path) -> None:
    def work(made: Lab) -> tuple[list[object], list[str], bool, str | None]:
        stack = [made.snapshot(lambda folder: (folder / "sub").mkdir()), made.snapshot(_plain)]
        hiding = change_with(made, made.snapshotter, stack, _replace_directory)
        removing = change_with(made, made.snapshotter, [*stack, hiding], lambda tree: (tree / "f").unlink())
        whiteout = os.lstat(os.path.join(removing.path, "f"))
        layers = [
            row[0]
            for below, top in (([*stack], hiding), ([*stack, hiding], removing))
            for row in layer_of(made, made.snapshotter, below, top)
        ]
        made.snapshotter.close()
        with made.snapshotter.reading([*stack, hiding, removing]) as root:
            names = [name for name, _ in root.walk()]
        refusal = OverlaySnapshotter(made.store, made.ownership).refusal()
        return layers, names, stat.S_ISSOCK(whiteout.st_mode), refusal

    def _plain(folder: Path) -> None:
        (folder / "d").mkdir()
        (folder / "d/one").write_text("one")
        (folder / "f").write_text("f")

    layers, names, is_socket, refusal = in_lab(tmp_path, work, copies=True, file_system=file_system)
    assert layers == ["d", "d/.wh..wh..opq", "d/new", ".wh.f"]
    assert names == [*names[: names.index("d")], "d", "d/new", *names[names.index("d") + 2 :]]
    assert "f" not in names
    assert is_socket is (file_system == "overlay")
    assert (refusal is not None) is (file_system in ("overlay", "ramfs"))


def test_a_store_that_cannot_record_owners_says_so(tmp_path: Path) -> None:
    def work(made: Lab) -> tuple[str, str | None]:
        with pytest.raises(SandboxError) as caught:
            CopySnapshotter(made.store, RecordedOwners()).prepare()
        return caught.value.message, caught.value.remedy

    message, remedy = in_lab(tmp_path, work, copies=True, file_system="ramfs")
    assert "cannot record owners" in message
    assert "--root" in str(remedy)


def test_no_privilege_is_needed(tmp_path: Path) -> None:
    """An ordinary user outside of any namespace, also with files and directories that its modes close to it."""
    tmp_path.chmod(0o777)
    open_way(tmp_path)

    def close(tree: Path) -> None:
        (tree / "shut").mkdir()
        (tree / "shut/file").write_text("inside\n")
        (tree / "shut/file").chmod(0)
        (tree / "shut").chmod(0o100)

    def work() -> tuple[list[list[str]], int]:
        with Store.open(os.fspath(tmp_path / "store")) as store:
            snapshotter = CopySnapshotter(store, RecordedOwners())
            snapshotter.prepare()
            stack: list[Snapshot] = []
            layers = []
            for change in (base, close, lambda tree: (tree / "more").write_text("")):
                with store.snapshots.begin() as active:
                    with snapshotter.writing(stack, active) as root:
                        change(Path(f"/proc/self/fd/{root.fd}"))
                    made = active.commit()
                layers.append(sorted(os.listdir(made.path)))
                stack.append(made)
            snapshotter.close()
            with snapshotter.reading(stack) as root:
                mode = stat.S_IMODE(root.lstat("shut").st_mode)
            snapshotter.close()
            return layers, mode

    layers, mode = in_child(work, uid=LONELY)
    assert layers == [["closed", "d", "f", "keep", "link", "pipe"], ["shut"], ["more"]]
    assert mode == 0o100


def test_part_of_a_tree_that_a_step_may_write_is_its_own(tmp_path: Path) -> None:
    def work(made: Lab) -> tuple[str, str, bool]:
        stack = [made.snapshot(base)]
        with made.store.snapshots.begin() as active:
            with made.snapshotter.tree_of_mount(stack, active, "/d/deep/../one", read_only=False) as file:
                path = Path(file.tree.path, file.path)  # type: ignore[union-attr]
                path.write_text("changed")
            with made.snapshotter.tree_of_mount(stack, active, "/d", read_only=False) as folder:
                names = sorted(os.listdir(Path(folder.tree.path, folder.path)))  # type: ignore[union-attr]
            with made.snapshotter.tree_of_mount(stack, active, "/none", read_only=False) as nothing:
                is_there = Path(nothing.tree.path, nothing.path.lstrip("/")).exists()  # type: ignore[union-attr]
        with made.snapshotter.reading(stack) as root, open(root.open_file("d/one")) as kept:
            return kept.read(), ",".join(names), is_there

    assert in_lab(tmp_path, work, copies=True) == ("d/one\n", "deep,one,two", False)


@pytest.mark.parametrize("present", [(), ("hosts",), ("hosts", "resolv.conf")], ids=["none", "one", "both"])
def test_mounted_files_of_an_image_are_no_change(present: tuple[str, ...], tmp_path: Path) -> None:
    def work(made: Lab) -> tuple[list[str], list[str]]:
        def fill(folder: Path) -> None:
            (folder / "etc").mkdir()
            for name in present:
                (folder / "etc" / name).write_text("the image's own")

        stack = [*made.base, made.snapshot(fill)]
        for script in ("true", "echo x >> /etc/hosts; echo y >> /etc/resolv.conf"):
            with made.store.snapshots.begin() as active:
                ended = made.run_in(active, "/bin/sh", "-c", script, stack=stack, forget=True)
                assert ended.status == 0, ended.err
                stack.append(active.commit())
        with made.snapshotter.reading(stack) as root:
            kept = [name for name, _ in root.walk("etc") if name.endswith(("hosts", ".conf"))]
        return [name for snapshot in stack[-2:] for name in os.listdir(snapshot.path)], kept

    assert in_lab(tmp_path, work, copies=True) == ([], [f"etc/{name}" for name in present])


def test_stubs_come_and_go_without_a_trace(tmp_path: Path) -> None:
    def work(made: Lab) -> tuple[list[list[str]], list[str]]:
        stack = [made.snapshot(busybox_alone)]
        layers = []
        for script in ("true", "echo x > /etc/hosts; echo y > /etc/other"):
            with made.store.snapshots.begin() as active:
                ended = made.run_in(active, "/bin/busybox", "sh", "-c", script, stack=stack, forget=True)
                assert ended.status == 0, ended.err
                stack.append(active.commit())
            with Root.open(stack[-1].path) as upper:
                layers.append([name for name, _ in upper.walk()])
        with made.snapshotter.reading(stack) as root:
            return layers, [name for name, _ in root.walk("etc")]

    def busybox_alone(folder: Path) -> None:
        (folder / "bin").mkdir()
        shutil.copy("/usr/bin/busybox", folder / "bin/busybox")

    layers, etc = in_lab(tmp_path, work, copies=True)
    assert layers == [["dev", "proc", "sys"], ["etc", "etc/other"]]
    assert etc == ["etc/other"]


def test_a_tree_that_nobody_keeps_is_not_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    update = Index.update

    def counted(index: Index, tree: str, **keywords: Any) -> list[Change]:
        looks.append(tree)
        return update(index, tree, **keywords)

    def work(made: Lab) -> tuple[int, list[str], str]:
        stack = [made.snapshot(base)]
        with made.store.snapshots.begin() as active:
            with made.snapshotter.running(stack, active, keep=False) as tree:
                Path(tree.path, "f").write_text("of no use")  # type: ignore[union-attr]
                Path(tree.path, "target").touch()  # type: ignore[union-attr]
                made.snapshotter.forget_targets(active, ["/target"], ["d"])
            changed = os.listdir(active.upper)
        with made.snapshotter.reading(stack) as root, open(root.open_file("f")) as file:
            return len(looks), changed, file.read()

    monkeypatch.setattr(Index, "update", counted)
    assert in_lab(tmp_path, work, copies=True) == (0, [], "f\n")


def test_a_tree_that_was_looked_through_is_thrown_away_where_nobody_keeps_it(tmp_path: Path) -> None:
    def work(made: Lab) -> list[list[str]]:
        stack = [made.snapshot(base)]
        layers = []
        for name, keep in (("one", True), ("unwanted", False), ("two", True)):
            with made.store.snapshots.begin() as active:
                with made.snapshotter.running(stack, active, keep=keep) as tree:
                    Path(tree.path, name).touch()  # type: ignore[union-attr]
                layers.append(os.listdir(active.upper))
                if keep:
                    stack.append(active.commit())
        with made.snapshotter.reading(stack) as root:
            layers.append(sorted(set(os.listdir(root.fd)) & {"one", "unwanted", "two"}))
        return layers

    assert in_lab(tmp_path, work, copies=True) == [["one"], [], ["two"], ["one", "two"]]
