"""The courses as one table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.growth.fit import Point, beyond, exponent, slopes
from benchmarks.table import aligned, judged, markdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.growth.course import Course

_MIB = 1 << 20
_MOST_EXPONENT = 1.05
_MOST_PEAK = 200
_HEAD = ("growth", "size", "seconds", "min-max", "times", "beyond the smallest", "slope", "exponent", "peak MiB")


@dataclass(frozen=True, slots=True)
class GrowthReport:
    """All that a run found out."""

    courses: Sequence[Course]
    facts: Mapping[str, str]
    left_out: Sequence[str]
    rounds: int

    def to_json(self) -> dict[str, Any]:
        courses = [asdict(course) for course in self.courses]
        return {"facts": dict(self.facts), "left_out": list(self.left_out), "rounds": self.rounds, "growth": courses}

    def to_text(self) -> str:
        return aligned(self._rows(), self._notes())

    def to_markdown(self) -> str:
        return markdown(self._rows(), self._notes())

    def _rows(self) -> list[list[str]]:
        return [[*_HEAD], *(row for course in self.courses for row in _rows(course))]

    def _notes(self) -> Iterable[str]:
        yield f"medians of {self.rounds} rounds after a warm-up, of more times where it is quick; in brackets the most"
        yield "beyond the smallest: seconds less those of the first row, which has all that is done once"
        yield "slope: of log seconds over log size, both beyond the smallest, from the size before; exponent: fitted"
        yield "peak: of the process tree, in the warm-up"
        yield from (f"{name}: {fact}" for name, fact in self.facts.items())
        yield from (f"left out: {reason}" for reason in self.left_out)


def _rows(course: Course) -> list[list[str]]:
    """Return a row for each size, the exponent in the last; a single short one for a failure."""
    if course.failure is not None:
        return [[course.title, f"failed: {course.failure}"]]
    smallest, *points = (Point(one.size, median(one.seconds)) for one in course.sizes)
    try:
        more = beyond(smallest, points)
    except ValueError as error:
        return [[course.title, f"failed: {error}"]]
    fitted = ["", *("" for _ in points[1:]), judged(exponent(more), _MOST_EXPONENT, 2)]
    differences = ["", *(f"{point.seconds:.3f}" for point in more)]
    steepness = ["", "", *(f"{slope:.2f}" for slope in slopes(more))]
    return [
        [
            course.title,
            f"{one.size:,}",
            f"{median(one.seconds):.3f}",
            f"{min(one.seconds):.3f}-{max(one.seconds):.3f}",
            str(len(one.seconds)),
            *columns,
            judged(one.peak / _MIB, _MOST_PEAK, 0),
        ]
        for one, *columns in zip(course.sizes, differences, steepness, fitted, strict=True)
    ]
