"""The corpus of odd layers held against umoci: where it has another tree, the row says why."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from ocibuild.fs import Root
from tests.layers import dialects, hostile, whiteouts
from tests.layers.row import described, remove_all
from tests.peers.umoci import umoci_unpack
from tests.support.lab import needs_root

if TYPE_CHECKING:
    from pathlib import Path

    from tests.layers.row import Row

pytestmark = needs_root
ROWS = [row for module in (whiteouts, dialects, hostile) for row in module.ROWS if row.tree is not None]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_umoci_shows_the_same_tree_or_the_row_says_why_not(tmp_path: Path, row: Row) -> None:
    assert row.tree is not None
    expected = {name: _timeless(line) for name, line in row.tree.items()}
    try:
        with Root.open(umoci_unpack(tmp_path, row.layers)) as root:
            found: object = described(root, times=False)
    except subprocess.CalledProcessError as error:
        found = error.stderr.strip().splitlines()[-1]
    finally:
        remove_all(tmp_path)
    if "umoci" in row.apart:
        assert found != expected, "it agrees now, so the row need not say otherwise"
    else:
        assert found == expected


def _timeless(line: str) -> str:
    """Return a line without its time, which umoci does not restore of directories that it goes through."""
    return " ".join(word for word in line.split(" ") if not word.startswith("~"))
