"""Whatever is done to a tree: the copy snapshotter finds the changes that overlayfs has in its upper directory."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from ocibuild.rootfs.copy import CopySnapshotter
from ocibuild.rootfs.overlay import OverlaySnapshotter
from tests.support.lab import Lab, in_lab, needs_root
from tests.unit.rootfs.test_copy import base, change_with, layer_of, show

if TYPE_CHECKING:
    from ocibuild.rootfs.snapshotter import Snapshotter
    from ocibuild.store import Snapshot

pytestmark = needs_root

NAMES = ("a", "f", "link", "d", "d/one", "d/a", "d/deep", "d/deep/er", "d/deep/er/leaf", "a/a", "keep", "f/a")


class Act(NamedTuple):
    verb: str
    name: str
    other: str
    number: int


VERBS = "write append mkdir remove move mode own touch symlink link fifo xattr rewrite"
ACTS = st.builds(
    Act,
    st.sampled_from(VERBS.split()),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
    st.integers(0, 5),
)


def do(tree: Path, act: Act) -> None:
    """Do one thing where it makes sense, which is the same in all trees that look alike."""
    path, other = tree / act.name, tree / act.other
    status = _status(path)
    if any(parent.is_symlink() or not parent.is_dir() for parent in _parents(tree, act.name)):
        return
    if status is None:
        _make(path, act)
        return
    if stat.S_ISDIR(status.st_mode):
        _change_directory(path, act)
    elif act.verb in ("move", "link") and act.name != act.other:
        if _status(other) is None and all(parent.is_dir() for parent in _parents(tree, act.other)):
            path.rename(other) if act.verb == "move" else os.link(path, other, follow_symlinks=False)
    else:
        _change_file(path, act, status)


def _make(path: Path, act: Act) -> None:
    match act.verb:
        case "write":
            path.write_text(f"{act.number}")
        case "mkdir":
            path.mkdir()
        case "symlink":
            path.symlink_to(f"to/{act.number}")
        case "fifo":
            os.mkfifo(path)


def _change_directory(path: Path, act: Act) -> None:
    match act.verb:
        case "remove":
            shutil.rmtree(path)
        case "write":
            shutil.rmtree(path)
            path.mkdir()
            (path / "a").write_text(f"{act.number}")
        case "mode":
            path.chmod(0o700 | act.number)
        case "own":
            os.chown(path, act.number, act.number)
        case "touch":
            os.utime(path, (act.number, act.number))
        case "xattr":
            _count(path)


def _change_file(path: Path, act: Act, status: os.stat_result) -> None:
    is_link = stat.S_ISLNK(status.st_mode)
    match act.verb:
        case "remove":
            path.unlink()
        case "own":
            os.chown(path, act.number, act.number, follow_symlinks=False)
        case "touch":
            os.utime(path, (act.number, act.number), follow_symlinks=False)
        case "mode" if not is_link:
            path.chmod(0o600 | act.number)
    if not stat.S_ISREG(status.st_mode):
        return
    match act.verb:
        case "write":
            path.write_text(f"{act.number}")
        case "append":
            with path.open("a") as file:
                file.write(f"{act.number}")
        case "rewrite":  # the same size, and the time put back
            path.write_bytes(bytes([65 + act.number]) * status.st_size)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        case "xattr":
            _count(path)


def _count(path: Path) -> None:
    """Set an attribute to what it was not: a file system may see nothing in setting it to what it was."""
    before = os.getxattr(path, "user.x") if "user.x" in os.listxattr(path) else b""
    os.setxattr(path, "user.x", before + b"I")


def _status(path: Path) -> os.stat_result | None:
    with suppress(FileNotFoundError, NotADirectoryError):
        return path.lstat()
    return None


def _parents(tree: Path, name: str) -> list[Path]:
    return [tree / part for part in reversed(list(Path(name).parents)[:-1])]


def _check(made: Lab, lowest: Snapshot, overlay: Snapshotter, copy: Snapshotter, scripts: list[list[Act]]) -> None:
    mounted, copied = [lowest], [lowest]
    for acts in scripts:
        both = []
        for snapshotter, stack in ((overlay, mounted), (copy, copied)):

            def act_all(tree: Path, acts: list[Act] = acts) -> None:
                for act in acts:
                    do(tree, act)

            snapshot = change_with(made, snapshotter, stack, act_all)
            both.append(layer_of(made, snapshotter, stack, snapshot))
            stack.append(snapshot)
        assert both[0] == both[1], scripts
    fresh = CopySnapshotter(made.store, made.ownership)
    assert show(copy, copied) == show(fresh, copied) == show(overlay, copied), scripts
    fresh.close()
    copy.close()


def test_any_changes_give_the_layers_of_overlayfs(tmp_path: Path) -> None:
    def work(made: Lab) -> None:
        lowest = made.snapshot(base)
        overlay, copy = OverlaySnapshotter(made.store, made.ownership), CopySnapshotter(made.store, made.ownership)
        overlay.prepare()
        copy.prepare()

        # one step more would have names of the first one's files, which overlayfs keeps apart
        @settings(max_examples=100, deadline=None, database=None)
        @given(st.lists(ACTS, max_size=12))
        def one_step(acts: list[Act]) -> None:
            _check(made, lowest, overlay, copy, [acts])

        @settings(max_examples=60, deadline=None, database=None)
        @given(st.lists(st.lists(ACTS.filter(lambda act: act.verb != "link"), max_size=8), min_size=2, max_size=4))
        def several_steps(scripts: list[list[Act]]) -> None:
            _check(made, lowest, overlay, copy, scripts)

        one_step()
        several_steps()

    in_lab(tmp_path, work)
