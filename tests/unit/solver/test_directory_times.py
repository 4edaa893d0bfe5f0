from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ocibuild.fs import Root
from ocibuild.layer.owners import RealOwners
from ocibuild.solver.operations.directory import make_directories

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_made_gets_the_time_and_what_is_there_keeps_its_own(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    os.utime(tmp_path / "there", (5, 5))
    with Root.open(str(tmp_path)) as root:
        make_directories(root, "/a/b/c", RealOwners.of_this_process(), time=1_600_000_000)
        make_directories(root, "/there", RealOwners.of_this_process(), time=1_600_000_000)
    assert {(tmp_path / name).stat().st_mtime for name in ("a", "a/b", "a/b/c")} == {1_600_000_000}
    assert (tmp_path / "there").stat().st_mtime == 5
