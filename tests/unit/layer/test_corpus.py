"""Hostile and odd layers, each with the tree that overlayfs must show of it, or the error that it must end with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import InvalidLayer
from tests.layers import dialects, hostile, whiteouts
from tests.layers.row import remove_all
from tests.layers.stack import shown
from tests.support.lab import needs_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.layers.row import Row

pytestmark = needs_root
ROWS = [*whiteouts.ROWS, *dialects.ROWS, *hostile.ROWS]


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A directory beside the store, with what a layer might reach for: the names occur in the rows."""
    path = tmp_path / "canary"
    (path / "etc").mkdir(parents=True)
    (path / "etc/passwd").write_text("root")
    (path / "file").write_text("alive")
    (path / "link").symlink_to("file")
    yield path
    remove_all(tmp_path)


def _state(canary: Path) -> object:
    found = []
    for parent, folders, files in os.walk(canary.parent):
        folders[:] = [name for name in folders if name != "store"]
        for name in (*folders, *files):
            status = os.lstat(os.path.join(parent, name))
            found.append((parent, name, *(status[:2] if name == "store" else (*status[:7], status.st_mtime_ns))))
    return sorted(found), (canary / "file").read_text(), (canary / "etc/passwd").read_text()


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_a_stack_shows_its_tree_or_is_refused(tmp_path: Path, canary: Path, row: Row) -> None:
    before = _state(canary)
    if row.tree is None:
        with pytest.raises(InvalidLayer, match=row.error):
            shown(tmp_path / "store", row.layers)
    else:
        assert shown(tmp_path / "store", row.layers) == dict(row.tree)
    assert _state(canary) == before


def test_no_row_has_the_name_of_another() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
