"""Names resolved while somebody else changes the tree, and trees made so that names lead astray."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import UnsafePath
from ocibuild.fs import Root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "outside/d").mkdir(parents=True)
    (tmp_path / "outside/d/f").write_text("canary")
    (tmp_path / "root/a/d").mkdir(parents=True)
    (tmp_path / "root/a/d/f").write_text("inside")
    return tmp_path / "root"


@contextlib.contextmanager
def _meanwhile(swap: object) -> Iterator[None]:
    """Let another thread do something over and over for as long as the block takes."""
    stopped = threading.Event()

    def work() -> None:
        while not stopped.is_set():
            swap()  # type: ignore[operator]

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _swaps(top: Path, target: str) -> object:
    """Return what makes ``a`` a symlink and a directory again."""

    def swap() -> None:
        os.rename(top / "a", top / "away")
        os.symlink(target, top / "a")
        os.unlink(top / "a")
        os.rename(top / "away", top / "a")

    return swap


@pytest.mark.parametrize(
    "target", ["../outside", "/outside", "../../../../../../outside"], ids=["up", "rooted", "far-up"]
)
def test_a_directory_swapped_for_a_symlink_never_leads_outside(top: Path, target: str) -> None:
    target = target if target.startswith("..") else str(top.parent / "outside")
    read = set()
    with _meanwhile(_swaps(top, target)), Root.open(top) as root:
        for _ in range(3000):
            root.forget()
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                fd = root.open_file("a/d/f")
                read.add(os.read(fd, 100))
                os.close(fd)
    assert read <= {b"inside"}
    assert (top.parent / "outside/d/f").read_text() == "canary"


def test_files_made_meanwhile_are_made_inside(top: Path) -> None:
    outside = top.parent / "outside"
    with _meanwhile(_swaps(top, "../outside")), Root.open(top) as root:
        for number in range(1000):
            root.forget()
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, FileExistsError):
                fd = root.open_file(f"a/d/new{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
                os.close(fd)
    assert sorted(os.listdir(outside)) == ["d"]
    assert os.listdir(outside / "d") == ["f"]


def test_directories_made_meanwhile_are_made_inside(top: Path) -> None:
    (top / "old").mkdir()
    count = iter(range(1_000_000))

    def link() -> None:
        try:
            os.symlink("../outside", top / "k")
        except FileExistsError:
            os.rename(top / "k", top / f"old/{next(count)}")
        else:
            os.unlink(top / "k")

    with _meanwhile(link), Root.open(top) as root:
        for number in range(1000):
            root.forget()
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, FileExistsError):
                root.make_directories(f"k/made{number}/x")
    assert sorted(os.listdir(top.parent / "outside")) == ["d"]


def test_what_is_removed_meanwhile_is_inside(top: Path) -> None:
    outside = top.parent / "outside"
    for number in range(200):
        (top / f"a/{number}/x").mkdir(parents=True)
        (outside / f"{number}/x").mkdir(parents=True)
    with _meanwhile(_swaps(top, "../outside")), Root.open(top) as root:
        for number in range(200):
            root.forget()
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                root.remove(f"a/{number}")
    assert len(os.listdir(outside)) == 201
    assert all(os.listdir(outside / str(number)) == ["x"] for number in range(200))


def test_a_directory_moved_while_it_is_walked_up_does_not_lead_out(top: Path) -> None:
    """``..`` in a directory that is moved to outside would be outside, where it is left to the system."""
    outside = top.parent / "outside"
    (outside / "f").write_text("canary")

    def move() -> None:
        os.rename(top / "a/d", outside / "moved")
        os.rename(outside / "moved", top / "a/d")

    with _meanwhile(move), Root.open(top) as root:
        for _ in range(2000):
            root.forget()
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                fd = root.open_file("a/d/../f")
                os.close(fd)
                raise AssertionError("there is no such file inside")


def test_a_cached_directory_that_was_moved_away_is_not_the_new_one_of_its_name(top: Path) -> None:
    """The cache knows directories by name, so whoever replaces one says so; until then it is the old one, inside."""
    with Root.open(top) as root:
        assert root.lstat("a/d/f").st_size == 6
        os.rename(top / "a", top / "b")
        os.symlink("../outside", top / "a")
        fd = root.open_file("a/d/f")
        assert os.read(fd, 10) == b"inside"
        os.close(fd)
        root.forget()
        with pytest.raises(FileNotFoundError):
            root.open_file("a/d/f")


@pytest.mark.parametrize(
    ("links", "name"),
    [
        ({"l": "../outside"}, "l/d/f"),
        ({"l": ".."}, "l/outside/d/f"),
        ({"a/l": "../../outside"}, "a/l/d/f"),
        ({"a/d/l": "../../../outside"}, "a/d/l/d/f"),
        ({"l": "a/.."}, "l/../outside/d/f"),
        ({"l": "a/d/../../.."}, "l/outside/d/f"),
        ({"k": "..", "l": "k/../k"}, "l/outside/d/f"),
        ({"l": "/proc/self/cwd"}, "l/outside/d/f"),
        ({"l": "/proc/self/root/tmp"}, "l"),
        ({"l": "./" * 2000 + "../outside"}, "l/d/f"),
        ({f"l{n}": f"l{n + 1}" for n in range(39)} | {"l39": "../outside"}, "l0/d/f"),
    ],
    ids=[
        "to-a-sibling",
        "to-the-parent",
        "from-a-directory",
        "from-two-directories",
        "back-up",
        "through-and-up",
        "up-twice",
        "by-proc-cwd",
        "by-proc-root",
        "after-many-dots",
        "after-39-links",
    ],
)
def test_no_symlink_leads_outside(top: Path, links: dict[str, str], name: str) -> None:
    for link, target in links.items():
        (top / link).symlink_to(target)
    with Root.open(top) as root, pytest.raises((FileNotFoundError, NotADirectoryError)):
        os.close(root.open_file(f"{name}/x" if name == "l" else name))


def test_what_a_name_costs_is_bounded(top: Path) -> None:
    for number in range(40):
        (top / f"l{number}").symlink_to(f"/l{number + 1}/../l{number + 1}/../l{number + 1}")
    (top / "l40").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    with Root.open(top) as root:
        with pytest.raises(UnsafePath):
            root.resolve("l0/x")
        with pytest.raises(UnsafePath):
            root.make_directories("l0/x")
        with pytest.raises(UnsafePath):
            root.resolve("a/../" * 5000 + "x")
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_real_name_of_what_is_lent_has_no_symlink(top: Path) -> None:
    (top / "l").symlink_to("a")
    (top / "a/m").symlink_to("/l/d")
    with Root.open(top) as root:
        for name, real in (
            ("f", ""),
            ("a/f", "a"),
            ("l/f", "a"),
            ("l/d/f", "a/d"),
            ("l/m/f", "a/d"),
            ("./l/../l/f", "a"),
        ):
            for _ in range(2):  # the second time it comes from the cache
                root.borrow_parent(name)
                assert root.lent == real
