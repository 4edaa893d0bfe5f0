"""The results as one table: in aligned columns, in Markdown, or as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.works import Targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.measure import Result
    from benchmarks.works import Work

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Report:
    """All that a run found out; ``results`` by the name of the work, then by the name of the contestant."""

    works: Sequence[Work]
    results: Mapping[str, Mapping[str, Result]]
    facts: Mapping[str, str]
    left_out: Sequence[str]
    rounds: int

    def to_json(self) -> dict[str, Any]:
        results = {work: {name: asdict(one) for name, one in found.items()} for work, found in self.results.items()}
        return {"facts": dict(self.facts), "left_out": list(self.left_out), "rounds": self.rounds, "results": results}

    def to_text(self) -> str:
        return aligned(self._rows(), self._notes())

    def to_markdown(self) -> str:
        return markdown(self._rows(), self._notes())

    def _rows(self) -> list[list[str]]:
        """Return the heading and a row for each work and contestant; that of a failure is short."""
        head = ["work", "contestant", "seconds", "min-max", "ratios", "peak MiB", "count"]
        return [head, *(self._row(work, name) for work in self.works for name in self.results[work.name])]

    def _row(self, work: Work, name: str) -> list[str]:
        results = self.results[work.name]
        result = results[name]
        if result.failure is not None:
            return [work.title, name, f"failed: {result.failure}"]
        targets = work.targets if name in work.ours else Targets(peak=None)
        peers = [(peer, results[peer]) for peer in work.peers if peer in results and name in work.ours]
        ratios = (f"{_ratio(result, theirs, targets.ratios.get(peer))} of {peer}" for peer, theirs in peers)
        count = None if result.count is None else f"{work.counted}: {judged(result.count, targets.count, 0)}"
        peak = judged((result.peak or 0) / _MIB, targets.peak, 0)
        return [work.title, name, *_times(result, targets.seconds), ", ".join(ratios), peak, count or ""]

    def _notes(self) -> Iterable[str]:
        yield f"medians of {self.rounds} alternating rounds after a warm-up; in brackets what is to be reached at most"
        yield "ratios: of the medians; counts: the largest of all rounds"
        yield "peak: of the process tree, and of docker's daemon, in two rounds that are not timed, or in the only one"
        yield from (f"{work.title}: {work.remark}" for work in self.works if work.remark)
        yield from (f"{name}: {fact}" for name, fact in self.facts.items())
        yield from (f"left out: {reason}" for reason in self.left_out)


def aligned(rows: Sequence[Sequence[str]], notes: Iterable[str]) -> str:
    """Return the rows in columns, as wide as those that are whole need them, and the notes."""
    widths = [max(len(row[column]) for row in rows if len(row) == len(rows[0])) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) for row in rows)
    return "\n".join([*(line.rstrip() for line in lines), "", *notes])


def markdown(rows: Sequence[Sequence[str]], notes: Iterable[str]) -> str:
    """Return the rows as a table, and the notes as a list."""
    head, *body = (f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)
    rule = "| --- | --- " + "| ---: " * (len(rows[0]) - 2) + "|"
    return "\n".join([head, rule, *body, "", *(f"- {note}" for note in notes)])


def _times(result: Result, target: float | None) -> tuple[str, str]:
    """Return the median and the range; neither where nothing was timed."""
    seconds = result.seconds
    if not seconds:
        return "", ""
    return judged(median(seconds), target, 3), f"{min(seconds):.3f}-{max(seconds):.3f}"


def _ratio(result: Result, peer: Result, target: float | None) -> str:
    if peer.failure is not None:
        return "failed"
    return judged(median(result.seconds) / median(peer.seconds), target, 2)


def judged(value: float, target: float | None, digits: int) -> str:
    """Return the figure with its target, and say so where it is missed."""
    if target is None:
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} ({target:g}{', missed' if value > target else ''})"
