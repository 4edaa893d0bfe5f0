"""Layers that were unpacked apart, and fit together after that."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import InvalidLayer
from ocibuild.fs import Root
from ocibuild.layer.settle import settle
from tests.unit.layer.helpers import MTIME, directory, hardlink, member, names, symlink, tar_of, tool, unpack

if TYPE_CHECKING:
    from pathlib import Path

Members = list[tuple[tarfile.TarInfo, bytes]]


def stack(path: Path, *layers: Members) -> list[Path]:
    """Unpack layers, the lowest first, settle each on those below it, and return their directories likewise."""
    done: list[Path] = []
    for number, members in enumerate(layers):
        here = path / f"layer{number}"
        applied = unpack(tar_of(*members), here)
        with contextlib.ExitStack() as opened:
            lowers = [opened.enter_context(Root.open(lower)) for lower in reversed(done)]
            settle(opened.enter_context(Root.open(here)), applied, lowers)
        done.append(here)
    return done


def test_a_directory_without_an_entry_is_as_in_the_layer_below(tmp_path: Path) -> None:
    header = {"SCHILY.xattr.user.kept": "yes"}
    below = [directory(".", mode=0o711), directory("d", mode=0o1770, pax_headers=header), directory("d/e", mode=0o700)]
    _, _, top = stack(tmp_path, below, [member("other")], [member("d/e/f"), member("new/f")])
    for name, mode in ((".", 0o711), ("d", 0o1770), ("d/e", 0o700)):
        status = (top / name).stat()
        assert (status.st_mode & 0o7777, status.st_mtime) == (mode, MTIME)
    assert os.getxattr(top / "d", "user.kept") == b"yes"
    assert ((top / "new").stat().st_mode & 0o7777, (top / "new").stat().st_mtime) == (0o755, 0)


@pytest.mark.parametrize(
    "hiding",
    [[member(".wh.d")], [member(".wh..wh..opq")], [member("d", body=b"x")], [member(".wh.d"), directory("d/x")]],
    ids=["whiteout", "opaque-parent", "file", "opaque"],
)
def test_what_is_hidden_between_does_not_count(tmp_path: Path, hiding: Members) -> None:
    *_, top = stack(tmp_path, [directory("d", mode=0o700), directory("d/e", mode=0o700)], hiding, [member("d/e/f")])
    assert (top / "d/e").stat().st_mode & 0o7777 == 0o755


def test_what_the_layer_itself_hides_does_not_count(tmp_path: Path) -> None:
    below = [directory("d", mode=0o700), directory("d/e", mode=0o700)]
    _, top = stack(tmp_path, below, [member("d/.wh..wh..opq"), member("d/e/f")])
    assert (top / "d").stat().st_mode & 0o7777 == 0o700
    assert (top / "d/e").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        (
            [directory("usr/lib", mode=0o711), symlink("lib", "usr/lib")],
            [member("lib/f", body=b"x")],
            {"usr": "d", "usr/lib": "d", "usr/lib/f": "f x"},
        ),
        (
            [directory("usr/lib"), symlink("lib", "/usr/lib")],
            [member("lib/a/f", body=b"x"), member("usr/lib/a/g", body=b"y")],
            {"usr": "d", "usr/lib": "d", "usr/lib/a": "d", "usr/lib/a/f": "f x", "usr/lib/a/g": "f y"},
        ),
        (
            [directory("a"), symlink("l", "m"), symlink("m", "../../a")],
            [member("l/f", body=b"x")],
            {"a": "d", "a/f": "f x"},
        ),
        ([symlink("l", "../../nowhere")], [member("l/f", body=b"x")], {"nowhere": "d", "nowhere/f": "f x"}),
        ([symlink("l", "/")], [member("l/f", body=b"x")], {"f": "f x"}),
        (
            [directory("d/e"), symlink("l", "d"), symlink("d/m", "e")],
            [member("l/m/f", body=b"x")],
            {"d": "d", "d/e": "d", "d/e/f": "f x"},
        ),
        ([directory("d"), symlink("l", "d")], [member("l/.wh.f"), member("d/f", body=b"x")], {"d": "d", "d/f": "f x"}),
        ([directory("d"), symlink("l", "d")], [member("l/f", body=b"x"), member("d/.wh.f")], {"d": "d", "d/f": "f x"}),
        ([directory("d"), symlink("l", "d")], [member("l/.wh.f"), directory("d/f")], {"d": "d", "d/f": "o"}),
        ([directory("d"), symlink("l", "d")], [directory("l/f"), member("d/.wh.f")], {"l": "", "d": "d", "d/f": "o"}),
        ([directory("d"), symlink("l", "d")], [member("l/.wh..wh..opq")], {"d": "o"}),
        ([directory("d"), symlink("l", "d")], [directory("l"), member("l/f", body=b"x")], {"l": "d", "l/f": "f x"}),
    ],
    ids=[
        "usr-merge",
        "both-names",
        "link-to-link",
        "dangling",
        "to-the-root",
        "link-behind-link",
        "whiteout-and-file",
        "file-and-whiteout",
        "whiteout-and-directory",
        "directory-and-whiteout",
        "opaque",
        "an-entry-replaces-the-link",
    ],
)
def test_what_lies_behind_a_symlink_below_moves_there(
    tmp_path: Path, below: Members, above: Members, expected: dict[str, str]
) -> None:
    (tmp_path / "outside").mkdir()
    _, top = stack(tmp_path / "outside", below, above)
    assert names(top) == {name: value for name, value in expected.items() if value}
    assert sorted(os.listdir(tmp_path / "outside")) == ["layer0", "layer1"]


def test_moved_directories_are_as_in_the_layer_below(tmp_path: Path) -> None:
    below = [directory("usr", mode=0o711), directory("usr/lib", mode=0o700), symlink("lib", "usr/lib")]
    _, top = stack(tmp_path, [directory("."), *below], [member("lib/f")])
    for name, mode in (("usr", 0o711), ("usr/lib", 0o700)):
        assert ((top / name).stat().st_mode & 0o7777, (top / name).stat().st_mtime) == (mode, MTIME)
    assert top.stat().st_mtime == MTIME


def test_a_hard_link_to_a_lower_file_becomes_a_copy(tmp_path: Path) -> None:
    header = {"SCHILY.xattr.user.kept": "yes"}
    below = [
        member("d/f", body=b"x" * 3_000_000, mode=0o4711, pax_headers=header),
        symlink("l", "d/f"),
        symlink("m", "d"),
    ]
    bottom, top = stack(tmp_path, below, [hardlink("a/one", "d/f"), hardlink("two", "m/f"), hardlink("three", "l")])
    assert (top / "a/one").read_bytes() == (bottom / "d/f").read_bytes()
    one = (top / "a/one").stat()
    assert (one.st_mode & 0o7777, one.st_mtime, one.st_nlink) == (0o4711, MTIME, 2)
    assert os.getxattr(top / "a/one", "user.kept") == b"yes"
    assert os.path.samefile(top / "a/one", top / "two")
    assert os.readlink(top / "three") == "d/f"
    assert (bottom / "d/f").stat().st_nlink == 1


@pytest.mark.parametrize(
    ("below", "above"),
    [
        ([], [hardlink("h", "missing")]),
        ([directory("d")], [hardlink("h", "d")]),
        ([member("f")], [member(".wh.f"), hardlink("h", "f")]),
        ([symlink("l", "l")], [hardlink("h", "l/f")]),
        ([symlink("l", "l")], [member("l/f")]),
        ([member("f"), symlink("l", "f")], [member("l/g")]),
        ([member("f")], [hardlink("h", "f/g")]),
    ],
    ids=["nothing", "directory", "removed-here", "loop", "move-into-loop", "move-into-file", "below-a-file"],
)
def test_what_cannot_fit_is_refused(tmp_path: Path, below: Members, above: Members) -> None:
    with pytest.raises(InvalidLayer):
        stack(tmp_path, below, above)


def test_a_link_that_a_later_entry_replaces_is_forgotten(tmp_path: Path) -> None:
    _, top = stack(tmp_path, [member("f", body=b"x")], [hardlink("h", "f"), member("h", body=b"own")])
    assert names(top) == {"h": "f own"}


def test_directories_made_for_what_moves_do_not_depend_on_the_umask_or_the_clock(tmp_path: Path) -> None:
    previous = os.umask(0o077)
    try:
        _, top = stack(tmp_path, [symlink("l", "x/y")], [member("l/f")])
    finally:
        os.umask(previous)
    for name in ("x", "x/y"):
        assert ((top / name).stat().st_mode & 0o7777, (top / name).stat().st_mtime) == (0o755, 0)


def test_deep_directories_are_settled_in_time(tmp_path: Path) -> None:
    import time

    deep = "/".join(["d"] * 1000)
    before = time.process_time()
    stack(tmp_path, [member(f"{deep}/f")], [member(f"{deep}/g")], [member(f"{deep}/h")])
    assert time.process_time() - before < 10
    with Root.open(tmp_path) as root:
        for name in os.listdir(tmp_path):
            root.remove(name)


def test_settling_again_changes_nothing(tmp_path: Path) -> None:
    bottom, top = stack(tmp_path, [directory("d", mode=0o711), member("f"), symlink("l", "d")], [member("d/x")])
    applied = unpack(tar_of(member("l/g"), hardlink("h", "f")), tmp_path / "third")
    with Root.open(bottom) as lowest, Root.open(top) as middle, Root.open(tmp_path / "third") as root:
        settle(root, applied, [middle, lowest])
        first = names(tmp_path / "third")
        settle(root, applied, [middle, lowest])
    assert names(tmp_path / "third") == first == {"d": "d", "d/g": "f ", "h": "f "}


def _mounted(path: Path, layers: list[Path]) -> dict[str, str]:
    """Return what overlayfs shows of the layers, in a mount namespace of its own: type, and content of a file."""
    lower = ":".join(str(layer) for layer in reversed(layers))
    (path / "merged").mkdir()
    (path / "empty").mkdir()
    script = (
        f"mount -t overlay overlay -o ro,userxattr,lowerdir={lower}:{path}/empty {path}/merged && cd {path}/merged && "
        "find . -mindepth 1 -printf '%P %y %m %l\\n' && find . -type f -printf '%P = ' -exec cat {} \\; -printf '\\n'"
    )
    done = subprocess.run([tool("unshare"), "-m", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"overlay cannot be mounted here: {done.stderr.strip()}")
    lines = sorted(line.strip() for line in done.stdout.splitlines())
    return dict(line.split(" ", 1) for line in lines if " = " not in line) | {
        f"{line.split(' = ')[0]}=": line.partition("=")[2].strip() for line in lines if " =" in line
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_overlayfs_shows_the_flattened_tree(tmp_path: Path) -> None:
    layers = stack(
        tmp_path,
        [
            directory("bin", mode=0o711),
            member("bin/a", body=b"1"),
            member("bin/b", body=b"1"),
            directory("gone"),
            member("gone/f"),
            directory("fresh"),
            member("fresh/old"),
            directory("again"),
            member("again/old"),
            directory("usr"),
            directory("usr/lib", mode=0o700),
            symlink("lib", "usr/lib"),
            member("usr/lib/l", body=b"1"),
        ],
        [
            member("bin/.wh.a"),
            member("bin/b", body=b"2"),
            member("bin/c", body=b"2"),
            member(".wh.gone"),
            member("fresh/new", body=b"2"),
            member("fresh/.wh..wh..opq"),
            member("lib/m", body=b"2"),
            hardlink("linked", "usr/lib/l"),
        ],
        [
            member(".wh.again"),
            member("again/new", body=b"3"),
            member("usr/lib/.wh.l"),
            member("bin/.wh.c"),
            member("bin/c", body=b"3"),
            hardlink("linked", "bin/b"),
        ],
    )
    assert _mounted(tmp_path, layers) == {
        "again": "d 755",
        "again/new": "f 644",
        "again/new=": "3",
        "bin": "d 711",
        "bin/b": "f 644",
        "bin/b=": "2",
        "bin/c": "f 644",
        "bin/c=": "3",
        "fresh": "d 755",
        "fresh/new": "f 644",
        "fresh/new=": "2",
        "lib": "l 777 usr/lib",
        "linked": "f 644",
        "linked=": "2",
        "usr": "d 755",
        "usr/lib": "d 700",
        "usr/lib/m": "f 644",
        "usr/lib/m=": "2",
    }
