"""``ocibuild build --dry-run``: what a build would do, as text or JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ocibuild.cli.text import printable, shown_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ocibuild.solver.dryrun import PlannedStep

_CONTRADICTIONS = {
    "iidfile": "--iidfile",
    "metadata_file": "--metadata-file",
    "push": "--push",
    "load": "--load",
    "outputs": "--output",
    "cache_to": "--cache-to",
    "quiet": "--quiet",
    "check": "--check",
}


def refuse_contradictions(options: Mapping[str, Any]) -> None:
    """Raise click.UsageError for an option that wants something done."""
    for name, flag in _CONTRADICTIONS.items():
        if options[name]:
            raise click.UsageError(f"--dry-run and {flag} exclude each other: a dry run makes nothing")
    if options["call"] not in {"", "build"}:
        raise click.UsageError("--dry-run and --call exclude each other: a dry run is of a build")


def plan_text(steps: Sequence[PlannedStep]) -> str:
    """Return a line for each step: what becomes of it, its label, and why."""
    return "".join(f"{printable(_line(step))}\n" for step in steps)


def _line(step: PlannedStep) -> str:
    line = f"{step.fate.value.upper():<6} {' '.join(step.label.split())}"
    if step.why is None:
        return line
    unless = f", unless {' and '.join(step.unless)} stays the same" if step.unless else ""
    return f"{line}  # {step.why}{unless}"


def plan_json(steps: Sequence[PlannedStep]) -> str:
    """Return the same as a list of objects, with the inputs that each key is made of."""
    return json.dumps([_document(step) for step in steps], indent=2) + "\n"


def _document(step: PlannedStep) -> dict[str, Any]:
    return {
        "label": step.label,
        "key": step.key,
        "fate": step.fate,
        "cached": step.fate == "cached",
        "why": step.why,
        "unless": step.unless,
        "inputs": shown_inputs(step.inputs),
    }
