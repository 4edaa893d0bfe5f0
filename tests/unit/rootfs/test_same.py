"""Two sets of changes are the same where their layers would be, but for times."""

from __future__ import annotations

import os
import stat
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ocibuild.layer.entry import Entry, Kind
from ocibuild.layer.owners import RealOwners, RecordedOwners
from ocibuild.layer.whiteouts import make_opaque, make_whiteout
from ocibuild.rootfs.same import Changes, same_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ocibuild.layer.owners import Ownership


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def fill(tree: Path) -> None:
    (tree / "d" / "sub").mkdir(parents=True)
    (tree / "d" / "sub" / "file").write_text("content")
    (tree / "d" / "empty").touch()
    (tree / "d" / "link").symlink_to("file")
    (tree / "d" / "opaque").mkdir()
    (tree / "other").write_text("other")
    (tree / "twin").write_text("twin")
    os.link(tree / "twin", tree / "twin-2")
    os.mkfifo(tree / "fifo")
    with opened(tree) as fd:
        make_whiteout(fd, "gone")
        make_opaque(fd, "d/opaque")
    for path in (tree / "d", tree / "d" / "sub", tree / "d" / "sub" / "file"):
        path.chmod(0o750)


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        fill(tmp_path / name)
    return tmp_path / "one", tmp_path / "two"


OWNERS: dict[str, Ownership] = {"real": RealOwners.of_this_process(), "recorded": RecordedOwners()}


@pytest.fixture(params=sorted(OWNERS))
def owners(request: pytest.FixtureRequest) -> Ownership:
    return OWNERS[request.param]


def same(one: Path, two: Path, owners: Ownership, *, begun: tuple[int, int] = (0, 0)) -> bool:
    return same_changes(Changes(str(one), begun[0]), Changes(str(two), begun[1]), owners)


def _set_times(tree: Path, seconds: int) -> None:
    for path in (tree, *tree.rglob("*")):
        os.utime(path, (seconds, seconds), follow_symlinks=False)


def test_equal_changes_are_the_same_whenever_they_were_made(trees: tuple[Path, Path], owners: Ownership) -> None:
    _set_times(trees[0], 1000)
    assert same(trees[0], trees[1], owners, begun=(999 * 10**9, time.time_ns() - 10**9))
    assert same(trees[0], trees[1], owners, begun=(1001 * 10**9, time.time_ns() - 10**9)), "within the grain of times"


@pytest.mark.parametrize("seconds", [1000, 1 << 32], ids=["before the step", "to come"])
def test_times_that_were_set_count(trees: tuple[Path, Path], owners: Ownership, seconds: int) -> None:
    begun = (time.time_ns() - 10**9, time.time_ns() - 10**9)
    os.utime(trees[1] / "d/sub/file", (seconds, seconds))
    assert not same(trees[0], trees[1], owners, begun=begun)
    os.utime(trees[0] / "d/sub/file", (seconds, seconds))
    assert same(trees[0], trees[1], owners, begun=begun)


def _replaced(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def _renewed(path: Path) -> None:
    path.rmdir()
    path.mkdir()


def _with_directory(tree: Path, make: Callable[[int], object]) -> None:
    with opened(tree) as fd:
        make(fd)


CHANGES: dict[str, Callable[[Path], object]] = {
    "bytes": lambda tree: (tree / "d/sub/file").write_text("Content"),
    "size": lambda tree: (tree / "d/sub/file").write_text("contents"),
    "mode": lambda tree: (tree / "d/sub/file").chmod(0o700),
    "mode of a directory": lambda tree: (tree / "d/sub").chmod(0o700),
    "set-group-ID": lambda tree: (tree / "d/sub").chmod(0o2750),
    "name": lambda tree: (tree / "other").rename(tree / "oter"),
    "one more at the end": lambda tree: (tree / "zzz").touch(),
    "one less at the end": lambda tree: (tree / "twin-2").unlink(),
    "one more within": lambda tree: (tree / "d/sub/more").touch(),
    "target": lambda tree: _replaced(tree / "d/link", lambda path: path.symlink_to("other")),
    "file for a link": lambda tree: _replaced(tree / "d/link", lambda path: path.write_text("file")),
    "directory for a file": lambda tree: _replaced(tree / "d/empty", lambda path: path.mkdir()),
    "attribute": lambda tree: os.setxattr(tree / "d/sub/file", "user.note", b"1"),
    "no second name": lambda tree: _replaced(tree / "twin-2", lambda path: path.write_text("twin")),
    "other second name": lambda tree: _replaced(tree / "twin-2", lambda path: os.link(tree / "other", path)),
    "whiteout of another": lambda tree: (tree / "gone").rename(tree / "done"),
    "file for a whiteout": lambda tree: _replaced(tree / "gone", lambda path: path.touch()),
    "not opaque": lambda tree: _renewed(tree / "d/opaque"),
    "opaque": lambda tree: _with_directory(tree, lambda fd: make_opaque(fd, "d/sub")),
    "opaque root": lambda tree: _with_directory(tree, lambda fd: make_opaque(fd, ".")),
    "socket for a FIFO": lambda tree: _replaced(tree / "fifo", lambda path: os.mknod(path, stat.S_IFSOCK | 0o600)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_difference_is_found_from_either_side(
    trees: tuple[Path, Path], owners: Ownership, change: Callable[[Path], object]
) -> None:
    change(trees[1])
    assert not same(trees[0], trees[1], owners)
    assert not same(trees[1], trees[0], owners)


@pytest.mark.parametrize("name", ["d/sub/file", "d/sub", "fifo"])
def test_recorded_owners_count(trees: tuple[Path, Path], name: str) -> None:
    owners = RecordedOwners()
    entry = Entry(name, Kind.FILE, mode=0o750, uid=5, gid=6)

    def own(tree: Path) -> None:
        if name == "fifo":
            _with_directory(tree, lambda fd: owners.put_at(fd, name, entry))
        else:
            with opened(tree / name) as fd:
                owners.put(fd, entry)

    own(trees[1])
    assert not same(trees[0], trees[1], owners)
    own(trees[0])
    assert same(trees[0], trees[1], owners)


def test_recorded_devices_count(trees: tuple[Path, Path]) -> None:
    owners = RecordedOwners()
    for tree, number in zip(trees, (3, 5), strict=True):
        entry = Entry("null", Kind.CHARACTER, mode=0o666, device=(1, number))
        _with_directory(tree, lambda fd, entry=entry: owners.make_device(fd, "null", entry))  # type: ignore[misc]
    assert not same(trees[0], trees[1], owners)


def test_files_are_read_only_where_all_the_rest_is_the_same(
    trees: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (trees[1] / "zzz").touch()

    def read(*_: object) -> bytes:
        raise AssertionError("nothing is to be read")

    monkeypatch.setattr("ocibuild.rootfs.same.os.read", read)
    assert not same(trees[0], trees[1], OWNERS["real"])
