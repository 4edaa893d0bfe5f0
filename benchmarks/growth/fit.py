"""How time grows with size: the exponent of a power law, of what is beyond the smallest."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import log
from statistics import linear_regression
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Point:
    """How long a size took: seconds."""

    size: int
    seconds: float


def beyond(smallest: Point, points: Sequence[Point]) -> list[Point]:
    """Return how much more each point is than the smallest, in size and in time.

    What takes as long at any size, such as the start of the program, is in both times alike, and is gone from their
    difference. So is what the first of many costs once. Had it stayed, it would flatten the line through small sizes,
    and a cost that grows with the square could hide below it; were a constant fitted together with the exponent, the
    one could make up for the other. Raises ValueError where a size took no longer than the smallest.
    """
    more = [Point(point.size - smallest.size, point.seconds - smallest.seconds) for point in points]
    for point, difference in zip(points, more, strict=True):
        if difference.seconds <= 0:
            raise ValueError(f"{point.size} took no longer than {smallest.size}")
    return more


def exponent(points: Sequence[Point]) -> float:
    """Return b of log t = a + b log n, by least squares, all points alike."""
    return linear_regression([log(point.size) for point in points], [log(point.seconds) for point in points]).slope


def slopes(points: Sequence[Point]) -> list[float]:
    """Return the same between each point and the next: the last shows what a fit through all might hide."""
    return [exponent(pair) for pair in pairwise(points)]
