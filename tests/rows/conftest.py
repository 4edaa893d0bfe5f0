from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows.laboratory import laboratory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rows.laboratory import Laboratory


@pytest.fixture(scope="session")
def lab() -> Iterator[Laboratory]:
    """The stores of all rows, each of which builds a case once."""
    with laboratory() as lab:
        yield lab
