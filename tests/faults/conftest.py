from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocibuild.store import Store
from tests.faults.world import World, hub_with

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = "/dev/shm"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: on a disk, fsync would be most of what these tests do."""
    if os.geteuid() != 0 or not os.access(MEMORY, os.W_OK):  # others need attributes, which not every kernel has there
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="ocibuild-faults-", dir=MEMORY) as made:
        yield Path(made)


@pytest.fixture
def world(folder: Path) -> Iterator[World]:
    with Store.open(str(folder / "store")) as store, hub_with() as (hub, reference):
        yield World(store, hub, reference)
