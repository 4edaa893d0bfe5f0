from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ocibuild.layer.changes import Changed, Opaque, Removed
from ocibuild.rootfs.index import Index

if TYPE_CHECKING:
    from pathlib import Path


def _tree(path: Path) -> Path:
    (path / "d/e").mkdir(parents=True)
    for name in ("d/one", "d/e/two", "f"):
        (path / name).write_text(name)
    return path


def test_a_second_look_finds_nothing(tmp_path: Path) -> None:
    index = Index()
    first = index.update(os.fspath(_tree(tmp_path)))
    assert first == [Changed(name) for name in ("d", "f", "d/e", "d/one", "d/e/two")]
    assert index.update(os.fspath(tmp_path)) == []


def test_a_change_deep_down_is_one_of_the_directories_around_it(tmp_path: Path) -> None:
    index = Index()
    index.update(os.fspath(_tree(tmp_path)))
    index.settle()
    (tmp_path / "d/e/two").write_text("TWO")
    assert index.update(os.fspath(tmp_path)) == [Changed("d"), Changed("d/e"), Changed("d/e/two")]


def test_a_directory_made_anew_is_opaque_even_with_the_inode_of_the_old_one(tmp_path: Path) -> None:
    """File systems give the number of what was removed to what is made next."""
    index = Index()
    index.update(os.fspath(_tree(tmp_path)))
    (tmp_path / "d/e/two").unlink()
    inode = (tmp_path / "d/e").stat().st_ino
    for _ in range(100):
        (tmp_path / "d/e").rmdir()
        (tmp_path / "d/e").mkdir()
        if (tmp_path / "d/e").stat().st_ino == inode:
            break
    assert index.update(os.fspath(tmp_path)) == [Changed("d"), Changed("d/e"), Opaque("d/e")]


def test_what_is_ignored_is_not_told_of(tmp_path: Path) -> None:
    index = Index()
    index.update(os.fspath(_tree(tmp_path)))
    index.settle()
    (tmp_path / "f").write_text("changed")
    (tmp_path / "d/one").unlink()
    assert index.update(os.fspath(tmp_path), ignored=["f", "d/one"]) == [Changed("d")]


def test_what_was_refreshed_is_not_told_of(tmp_path: Path) -> None:
    index = Index()
    index.update(os.fspath(_tree(tmp_path)))
    index.settle()
    (tmp_path / "f").chmod(0o600)
    (tmp_path / "new").mkdir()
    (tmp_path / "d/one").unlink()
    index.refresh(os.fspath(tmp_path), ["f", "new", "d/one", "d", "none/at/all"])
    assert index.update(os.fspath(tmp_path)) == []
    (tmp_path / "new/file").write_text("")
    assert index.update(os.fspath(tmp_path)) == [Changed("new"), Changed("new/file")]
    (tmp_path / "new/file").unlink()
    assert index.update(os.fspath(tmp_path)) == [Changed("new"), Removed("new/file")]


SECOND = 10**9


@pytest.mark.parametrize(
    ("ctime", "ticks", "asked"),
    [
        (1.5, [1.6], 1),
        (1.5, [1.5, 1.5, 1.504], 3),
        (1.508, [1.504, 1.508, 1.512], 3),  # of a clock that is finer than the one that is asked
        (1, [1.5, 1.9, 2.0], 3),  # of a file system that keeps seconds
        (9.5, [1.5], 1),  # of a clock that was set back
    ],
    ids=["later", "same-tick", "ahead", "seconds", "set-back"],
)
def test_it_waits_until_a_change_must_get_another_time(
    ctime: float, ticks: list[float], asked: int, tmp_path: Path
) -> None:
    index = Index()
    index._youngest = int(ctime * SECOND)
    left = [int(tick * SECOND) for tick in ticks]
    index.settle(lambda: left.pop(0))
    assert len(ticks) - len(left) == asked


def test_a_change_at_once_after_the_look_is_seen(tmp_path: Path) -> None:
    index = Index()
    index.update(os.fspath(_tree(tmp_path)))
    for number in range(300):
        before = (tmp_path / "f").stat()
        index.settle()
        (tmp_path / "f").write_text(str(number % 2))
        os.utime(tmp_path / "f", ns=(before.st_atime_ns, before.st_mtime_ns))
        assert index.update(os.fspath(tmp_path)) == [Changed("f")]
