from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from demo.remove import remove
from tests.unit.solver.bench import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    if bench.root.exists():
        remove(str(bench.root))  # pytest could not: files in it may be of an ordinary user's subordinate IDs
