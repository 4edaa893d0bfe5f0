from __future__ import annotations

import pytest

from benchmarks.growth.fit import Point, beyond, exponent, slopes

_SIZES = (10, 100, 1_000)


def _times(power: float, constant: float = 0.0) -> list[Point]:
    return [Point(size, constant + 0.01 * size**power) for size in _SIZES]


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5, 2.0])
def test_the_exponent_of_a_power_is_found(power: float) -> None:
    assert exponent(_times(power)) == pytest.approx(power)


def test_a_constant_does_not_hide_a_square() -> None:
    times = _times(2.0, constant=100.0)

    assert exponent(times) < 1.3
    assert exponent(beyond(Point(0, 100.0), times)) == pytest.approx(2.0)


def test_what_the_smallest_does_of_the_work_is_taken_off_sizes_too() -> None:
    smallest = Point(1, 5.01)

    assert exponent(beyond(smallest, _times(1.0, constant=5.0))) == pytest.approx(1.0)


def test_the_slope_of_the_last_stretch_shows_what_the_fit_evens_out() -> None:
    points = [Point(1, 1.0), Point(10, 10.0), Point(100, 100.0), Point(1_000, 10_000.0)]

    assert slopes(points) == pytest.approx([1.0, 1.0, 2.0])
    assert exponent(points) < 1.5


def test_a_size_that_took_no_longer_than_the_smallest_has_no_exponent() -> None:
    with pytest.raises(ValueError, match=r"^10 took no longer than 1$"):
        beyond(Point(1, 0.5), [Point(10, 0.5)])
