"""The rows in the real thing: in containers of Debian's docker ocibuild builds what root builds outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows.known import complaints
from tests.rows.row import CONTAINER_ROWS

if TYPE_CHECKING:
    from tests.rows.laboratory import Laboratory
    from tests.rows.row import Row

_BUILDS = [(row, case) for row in CONTAINER_ROWS for case in row.cases or ()]


@pytest.mark.parametrize(("row", "case"), _BUILDS, ids=[f"{row.name}-{case}" for row, case in _BUILDS])
def test_container_gives_what_root_gives(lab: Laboratory, row: Row, case: str) -> None:
    wrong = complaints(row.name, case, lab.found(row, case))
    assert not wrong, "\n".join(("", *wrong))
