"""The results as one table: in aligned columns, in Markdown, or as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
        results = {work: {name: asdict(one) for name, one in found.items()} for work, found in self.results.items()}
        return {"facts": dict(self.facts), "left_out": list(self.left_out), "rounds": self.rounds, "results": results}

    def to_text(self) -> str:
        rows = self._rows()
        widths = [max(len(row[column]) for row in rows if len(row) == len(rows[0])) for column in range(len(rows[0]))]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) for row in rows)
        return "\n".join([*(line.rstrip() for line in lines), "", *self._notes()])

    def to_markdown(self) -> str:
        rows = self._rows()
        head, *body = (f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)
        rule = "| --- | --- " + "| ---: " * (len(rows[0]) - 2) + "|"
        return "\n".join([head, rule, *body, "", *(f"- {note}" for note in self._notes())])

    def _rows(self) -> list[list[str]]:
        """Return the heading and a row for each work and contestant; that of a failure is short."""
        of_peers = [f"of {one.name}" for one in self.contestants if not one.ours]
        head = ["work", "contestant", "seconds", "min-max", *of_peers, "peak MiB"]
        return [head, *(self._row(work, one) for work in self.works for one in self.contestants)]

    def _row(self, work: Work, contestant: Contestant) -> list[str]:
        results, targets = self.results[work.name], work.targets
        result = results[contestant.name]
        if result.failure is not None:
            return [work.title, contestant.name, f"failed: {result.failure}"]
        peers = [(one.name, results[one.name]) for one in self.contestants if not one.ours]
        seconds, peak = median(result.seconds), (result.peak or 0) / _MIB
        named = [work.title, contestant.name]
        spread = f"{min(result.seconds):.3f}-{max(result.seconds):.3f}"
        if not contestant.ours:
            return [*named, f"{seconds:.3f}", spread, *("" for _ in peers), f"{peak:.0f}"]
        ratios = (_ratio(seconds, peer, targets.ratios.get(name)) for name, peer in peers)
        return [*named, _judged(seconds, targets.seconds, 3), spread, *ratios, _judged(peak, targets.peak, 0)]

    def _notes(self) -> Iterable[str]:
        yield f"medians of {self.rounds} alternating rounds after a warm-up; in brackets what is to be reached at most"
        yield "peak: of the process tree, and of BuildKit's daemon, in two rounds that are not timed"
        yield from (f"{name}: {fact}" for name, fact in self.facts.items())
        yield from (f"left out: {reason}" for reason in self.left_out)


def _ratio(seconds: float, peer: Result, target: float | None) -> str:
    return "failed" if peer.failure is not None else _judged(seconds / median(peer.seconds), target, 2)


def _judged(value: float, target: float | None, digits: int) -> str:
    """Return the figure with its target, and say so where it is missed."""
    if target is None:
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} ({target:g}{', missed' if value > target else ''})"
