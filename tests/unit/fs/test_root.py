from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import UnsafePath
from ocibuild.fs import Root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("outside")
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def root(top: Path) -> Iterator[Root]:
    with Root.open(top) as opened:
        yield opened


def _open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    ("links", "name", "real"),
    [
        ({}, "a/b", "a/b"),
        ({}, "/a//./b/", "a/b"),
        ({}, "..", "."),
        ({}, "../../a/../a/b", "a/b"),
        ({"l": "a"}, "l/b", "a/b"),
        ({"l": "/a"}, "l/b", "a/b"),
        ({"l": "../../../../a"}, "l", "a"),
        ({"l": "/../secret"}, "l", "secret"),
        ({"a/l": "../l2", "l2": "/a/b"}, "a/l", "a/b"),
        ({"l": "a/b/.."}, "l/b", "a/b"),
        ({"l": "/"}, "l/a", "a"),
        ({"l": "."}, "l/l/l/a", "a"),
        ({"l": "missing"}, "l", "missing"),
    ],
)
def test_a_name_is_resolved_inside_the_root(top: Path, root: Root, links: dict[str, str], name: str, real: str) -> None:
    (top / "a/b").mkdir(parents=True)
    for link, target in links.items():
        (top / link).symlink_to(target)
    assert root.resolve(name) == real


@pytest.mark.parametrize("target", ["l", "/l", "m/../l"], ids=["itself", "absolute", "through-dotdot"])
def test_a_loop_is_refused(top: Path, root: Root, target: str) -> None:
    (top / "m").mkdir()
    (top / "l").symlink_to(target)
    with pytest.raises(UnsafePath, match="loop"):
        root.resolve("l/x")


def test_links_that_grow_are_refused_in_time(top: Path, root: Root) -> None:
    (top / "d").mkdir()
    for number in range(39):
        (top / f"l{number}").symlink_to("d/../" * 600 + f"l{number + 1}")
    with pytest.raises(UnsafePath):
        root.resolve("l0/x")


def test_a_symlink_in_the_last_place_is_not_followed(top: Path, root: Root) -> None:
    (top / "l").symlink_to("/etc")
    assert root.readlink("l") == "/etc"
    with pytest.raises(OSError, match="symbolic") as caught:
        root.open_file("l")
    assert caught.value.errno == errno.ELOOP


def test_missing_parents_are_made_behind_symlinks_inside(top: Path, root: Root) -> None:
    (top / "l").symlink_to("../../x/y")
    made: list[str] = []
    with root.make_parent_of("l/z/f", made.append) as (fd, name):
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    assert made == ["x", "x/y", "x/y/z"]
    assert (top / "x/y/z/f").exists()
    assert sorted(os.listdir(top.parent)) == ["root", "secret"]


def test_a_file_in_the_way_is_not_a_directory(top: Path, root: Root) -> None:
    (top / "f").write_text("")
    with pytest.raises(NotADirectoryError), root.make_parent_of("f/x"):
        pass
    with pytest.raises(FileNotFoundError), root.parent_of("missing/x"):
        pass


def test_a_directory_replaced_through_the_root_is_seen(top: Path, root: Root) -> None:
    root.make_directories("a/b")
    (top / "c").mkdir()
    root.open_directory("a/b").close()
    root.remove("a/b")
    (top / "a/b").symlink_to("../c")
    fd = root.open_file("a/b/f", os.O_CREAT | os.O_WRONLY)
    os.close(fd)
    assert (top / "c/f").exists()


def test_two_lent_directories_are_good_however_many_came_before(top: Path, root: Root) -> None:
    for number in range(200):
        (top / f"d{number}/f").mkdir(parents=True)
    first = {number: root.lstat(f"d{number}/f").st_ino for number in range(200)}
    for number in range(199):
        one, _ = root.borrow_parent(f"d{number}/f")
        two, _ = root.borrow_parent(f"d{number + 1}/f")
        assert os.stat("f", dir_fd=one).st_ino == first[number]
        assert os.stat("f", dir_fd=two).st_ino == first[number + 1]


def test_the_root_itself_has_a_name(root: Root) -> None:
    with root.parent_of(".") as (fd, name):
        assert name == "."
        assert os.path.samestat(os.stat(name, dir_fd=fd), os.fstat(root.fd))
    with pytest.raises(UnsafePath):
        root.remove("/")


def test_walking_gives_parents_first_in_the_order_of_bytes(top: Path, root: Root) -> None:
    for name in ("b", "a/z", "a-b", "a/é"):
        (top / name).mkdir(parents=True)
    (top / "a/link").symlink_to("..")
    (top / os.fsdecode(b"\xff")).write_text("")
    assert [name for name, _ in root.walk()] == ["a", "a/link", "a/z", "a/é", "a-b", "b", os.fsdecode(b"\xff")]
    assert [name for name, _ in root.walk("a")] == ["a/link", "a/z", "a/é"]


def test_a_very_deep_tree_is_made_walked_and_removed(top: Path, root: Root) -> None:
    deep = "/".join(["d"] * 1500)
    root.make_directories(deep)
    fd = root.open_file(f"{deep}/f", os.O_CREAT | os.O_WRONLY)
    os.close(fd)
    before = _open_descriptors()
    assert sum(1 for _ in root.walk()) == 1501
    root.remove("d")
    assert os.listdir(top) == []
    assert _open_descriptors() <= before


def test_removing_does_not_follow_symlinks(top: Path, root: Root) -> None:
    (top / "d/e").mkdir(parents=True)
    (top / "d/e/l").symlink_to(top.parent)
    (top / "d/l").symlink_to("../../secret")
    root.remove("d")
    assert (top.parent / "secret").read_text() == "outside"
    assert os.listdir(top) == []


def test_closed_directories_are_removed_by_an_ordinary_user(top: Path) -> None:
    (top / "d/e").mkdir(parents=True)
    (top / "d/e/f").write_text("")
    for path in (top / "d/e", top / "d"):
        path.chmod(0o000)
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
    if os.geteuid() == 0:
        os.chown(top, 65534, 65534)
    pid = os.fork()
    if pid == 0:
        os.fchdir(os.open(top, os.O_PATH))
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)
        try:
            with Root.open(".") as root:
                root.remove("d")
        finally:
            os._exit(0 if not os.path.exists("d") else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_closing_gives_all_descriptors_back(top: Path) -> None:
    before = _open_descriptors()
    with Root.open(top) as root:
        for number in range(100):
            root.make_directories(f"a{number}/b")
    assert _open_descriptors() == before
