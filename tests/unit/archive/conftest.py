from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocibuild.store import Store
from tests.unit.archive.images import put_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocibuild.oci import Descriptor


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def image(store: Store, tmp_path: Path) -> Descriptor:
    return put_image(store, tmp_path / "trees")
