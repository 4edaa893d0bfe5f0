from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from ocibuild.fs import disk_usage
from tests.support.lab import LONELY, in_child, needs_root, open_way

if TYPE_CHECKING:
    from pathlib import Path

_SIZE = 40_000


def _block(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_files_count_once_however_many_names_they_have(tmp_path: Path) -> None:
    below = tmp_path / "a/b"
    below.mkdir(parents=True)
    (below / "file").write_bytes(b"x" * _SIZE)
    os.link(below / "file", tmp_path / "name")
    (tmp_path / "link").symlink_to("a")
    expected = _block(tmp_path / "a") + _block(below) + _block(below / "file")
    assert disk_usage(str(tmp_path)) == expected
    assert expected >= _SIZE


def test_what_is_not_there_takes_nothing(tmp_path: Path) -> None:
    assert disk_usage(str(tmp_path / "none")) == 0


@needs_root
def test_what_a_mode_closes_to_its_owner_counts(tmp_path: Path) -> None:
    open_way(tmp_path / "x")
    os.chown(tmp_path, LONELY, LONELY)

    def work() -> tuple[int, int]:
        closed = tmp_path / "closed"
        closed.mkdir()
        (closed / "file").write_bytes(b"x" * _SIZE)
        closed.chmod(0)
        return disk_usage(str(tmp_path)), closed.stat().st_mode & 0o777

    size, mode = in_child(work, uid=LONELY)
    assert size >= _SIZE
    assert mode == 0


def test_a_tree_that_changes_meanwhile_has_some_size(tmp_path: Path) -> None:
    over = threading.Event()

    def change() -> None:
        while not over.is_set():
            os.makedirs(tmp_path / "a/b/c", exist_ok=True)
            for name in ("a/b/c", "a/b", "a"):
                os.rmdir(tmp_path / name)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        assert all(disk_usage(str(tmp_path)) >= 0 for _ in range(2000))
    finally:
        over.set()
        changing.join()
