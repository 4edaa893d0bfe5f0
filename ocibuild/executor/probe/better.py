"""The one change that gives a machine the next better row: a pure function of what failed, and of its remedies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.executor.probe.remedies import SEE
from ocibuild.executor.rows import Row
from ocibuild.sandbox import IDs
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocibuild.executor.choice import Choice, Facts


class Better(NamedTuple):
    """A better row, or the same one with the overlay snapshotter, and what to change for it."""

    row: Row
    change: str


_NAMESPACES = ("user-namespace", "mount", "proc", "step")


def next_better(choice: Choice, facts: Facts, failed: Mapping[str, str]) -> Better | None:
    """Return the next better row; ``failed`` has the remedies of the checks that did, by the check's name."""
    match choice.row:
        case Row.ROOT | Row.RANGE:
            return _with(choice.row, failed, "overlay")
        case Row.ONE_ID:
            return _with(Row.ONE_ID, failed, "overlay") or _with(Row.RANGE, failed, "ids")
        case Row.ROOT_CHROOT:
            return _with(Row.ROOT_PROOT, failed, "proot")
        case Row.ROOT_PROOT:
            return _with(_in_namespaces(facts, Row.RANGE), failed, *_NAMESPACES)
        case Row.PROOT:
            return _with(_in_namespaces(facts, Row.ONE_ID), failed, *_NAMESPACES)
        case Row.NONE if "ptrace" not in failed:
            return _with(Row.PROOT, failed, "proot")
        case Row.NONE:
            return _with(_in_namespaces(facts, Row.ONE_ID), failed, *_NAMESPACES)


def _in_namespaces(facts: Facts, otherwise: Row) -> Row:
    """Return the row that namespaces would give, as far as that can be known where they cannot be entered."""
    rows = {IDs.ALL: Row.ROOT, IDs.RANGE: Row.RANGE, IDs.ONE: Row.ONE_ID}
    return rows[facts.ids] if facts.ids else otherwise


def _with(row: Row, failed: Mapping[str, str], *names: str) -> Better | None:
    change = next((failed[name] for name in names if failed.get(name)), "")
    while change.startswith(SEE):
        change = failed.get(change.removeprefix(SEE), "")
    return Better(row, change) if change else None
