"""The same Dockerfile and context give the same with BuildKit and with ocibuild."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.differential.cases import Case, all_cases
from tests.differential.known import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from tests.differential.laboratory import Comparison

CASES = all_cases()
_AHEAD = 8  # how many comparisons are begun before they are asked for
_LEAST = 0.98


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
def test_both_builders_give_the_same(
    number: int, compared: Callable[[Case], Future[Comparison]], request: pytest.FixtureRequest
) -> None:
    case = CASES[number]
    for following in _following(request, number):
        compared(following)
    comparison = compared(case).result()
    assert comparison.wrong is None, comparison.wrong
    if case.name in KNOWN:
        assert comparison.differences, f"it agrees now: take it out of known.py ({KNOWN[case.name]})"
    else:
        assert not comparison.differences, "\n".join(("", *comparison.differences))


def test_the_builders_agree(compared: Callable[[Case], Future[Comparison]]) -> None:
    comparisons = [compared(case) for case in CASES]
    agreeing = sum(comparison.result().agrees for comparison in comparisons)
    assert agreeing >= _LEAST * len(CASES), f"{agreeing} of {len(CASES)} agree"


def test_known_differences_are_of_cases() -> None:
    assert KNOWN.keys() <= {case.name for case in CASES}


def _following(request: pytest.FixtureRequest, number: int) -> list[Case]:
    """Return the case and those that are asked for after it in this run."""
    asked = [item.callspec.params["number"] for item in request.session.items if _is_case(item)]  # type: ignore[attr-defined]
    at = asked.index(number)
    return [CASES[each] for each in asked[at : at + _AHEAD]]


def _is_case(item: pytest.Item) -> bool:
    return getattr(item, "originalname", "") == test_both_builders_give_the_same.__name__
