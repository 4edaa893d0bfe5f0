"""The results as one table: in aligned columns, in Markdown, or as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.contestants import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.contestants import Contestant
    from benchmarks.measure import Result
    from benchmarks.works import Work

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Report:
    """All that a run found out; ``results`` by the name of the work, then by the name of the contestant."""

    works: Sequence[Work]
    contestants: Sequence[Contestant]
    results: Mapping[str, Mapping[str, Result]]
    facts: Mapping[str, str]
    left_out: Sequence[str]
    rounds: int

    def to_json(self) -> dict[str, Any]:
        return {
            "facts": dict(self.facts),
            "left_out": list(self.left_out),
            "rounds": self.rounds,
            "results": {
                work: {
                    name: {"seconds": one.seconds, "peak_bytes": one.peak, "failure": one.failure}
                    for name, one in by_name.items()
                }
                for work, by_name in self.results.items()
            },
        }

    def to_text(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
        return "\n".join([*lines, "", *self._notes()])

    def to_markdown(self) -> str:
        head, *body = (f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in self._rows())
        rule = "| --- | --- " + "| ---: " * (len(self._rows()[0]) - 2) + "|"
        return "\n".join([head, rule, *body, "", *(f"- {note}" for note in self._notes())])

    def _rows(self) -> list[list[str]]:
        peers = [one for one in self.contestants if one.kind is not Kind.OCIBUILD]
        head = ["work", "contestant", "seconds", "min-max", *(f"of {peer.name}" for peer in peers), "peak MiB"]
        return [head, *(self._row(work, one, peers) for work in self.works for one in self.contestants)]

    def _row(self, work: Work, contestant: Contestant, peers: Sequence[Contestant]) -> list[str]:
        result = self.results[work.name][contestant.name]
        if result.failure is not None:
            return [work.title, contestant.name, f"failed: {result.failure}", *[""] * (len(peers) + 2)]
        seconds, spread = median(result.seconds), f"{min(result.seconds):.3f}-{max(result.seconds):.3f}"
        if contestant.kind is not Kind.OCIBUILD:
            return [work.title, contestant.name, f"{seconds:.3f}", spread, *[""] * len(peers), _mebibytes(result.peak)]
        ratios = (self._ratio(work, seconds, peer) for peer in peers)
        shown, peak = _judged(seconds, work.targets.seconds, 3), "unknown"
        if result.peak is not None:
            peak = _judged(result.peak / _MIB, work.targets.peak / _MIB, 0)
        return [work.title, contestant.name, shown, spread, *ratios, peak]

    def _ratio(self, work: Work, seconds: float, peer: Contestant) -> str:
        other = self.results[work.name][peer.name]
        return "" if other.failure else _judged(seconds / median(other.seconds), work.targets.ratios.get(peer.kind), 2)

    def _notes(self) -> list[str]:
        return [
            f"medians of {self.rounds} alternating rounds after a warm-up; in brackets what is to be reached at most",
            "peak: of the process tree, and for BuildKit of its daemon too, in two rounds that are not timed",
            *(f"{name}: {fact}" for name, fact in self.facts.items()),
            *(f"left out: {reason}" for reason in self.left_out),
        ]


def _mebibytes(peak: int | None) -> str:
    return "unknown" if peak is None else f"{peak / _MIB:.0f}"


def _judged(value: float, target: float | None, digits: int) -> str:
    """Return the figure with its target, and say so where it is missed."""
    if target is None:
        return f"{value:.{digits}f}"
    missed = ", missed" if value > target else ""
    return f"{value:.{digits}f} ({target:g}{missed})"
