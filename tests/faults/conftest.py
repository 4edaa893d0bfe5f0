from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocibuild.store import Store
from tests.faults.world import World, hub_with

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Store.open(str(tmp_path / "store")) as store, hub_with() as (hub, reference):
        yield World(store, hub, reference)
