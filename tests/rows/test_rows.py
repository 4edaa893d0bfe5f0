"""The same Dockerfiles give the same tree in every row of this machine, which is that of BuildKit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows.cases import CASES
from tests.rows.known import BUILDKIT, KNOWN, complaints
from tests.rows.row import CONTAINER_ROWS, MACHINE_ROWS, ROWS
from tests.rows.truth import Truth

if TYPE_CHECKING:
    from tests.rows.laboratory import Laboratory
    from tests.rows.row import Row

_FIRST, *_OTHERS = MACHINE_ROWS
_TESTED = (*MACHINE_ROWS, *CONTAINER_ROWS)
_DAILY = [(row, case) for row in _OTHERS for case in row.cases or CASES]


@pytest.fixture(scope="module")
def truth(lab: Laboratory) -> Truth:
    return Truth(lab)


@pytest.mark.parametrize("case", CASES)
def test_root_gives_what_buildkit_gives(lab: Laboratory, truth: Truth, case: str) -> None:
    theirs, ours = truth.outcome(case), lab.outcome(_FIRST, case)
    assert theirs.tree is not None, theirs.printed
    assert ours.tree is not None, ours.printed
    wrong = complaints(BUILDKIT, case, theirs.differs(ours))
    assert not wrong, "\n".join(("", *wrong))


@pytest.mark.parametrize(("row", "case"), _DAILY, ids=[f"{row.name}-{case}" for row, case in _DAILY])
def test_row_gives_what_root_gives(lab: Laboratory, row: Row, case: str) -> None:
    wrong = complaints(row.name, case, lab.found(row, case))
    assert not wrong, "\n".join(("", *wrong))


@pytest.mark.parametrize("row", _TESTED, ids=[row.name for row in _TESTED])
def test_doctor_says_what_a_build_uses(lab: Laboratory, row: Row) -> None:
    diagnosis = lab.doctor(row)
    assert (diagnosis["executor"], diagnosis["snapshotter"]) == row.chosen


def test_known_differences_are_of_cases_and_rows() -> None:
    rows = {BUILDKIT, *(row.name for row in ROWS)}
    assert {each.case for each in KNOWN} <= set(CASES)
    assert {name for each in KNOWN for name in each.rows} <= rows
