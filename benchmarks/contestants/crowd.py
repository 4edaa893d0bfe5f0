"""Four of one kind at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.contestants.contestant import Contestant
from benchmarks.measure import at_once

if TYPE_CHECKING:
    from benchmarks.measure import Command

_PROCESSES = 4


class Crowd(Contestant):
    """Processes that all do the same, at once and on one store, which is that of ``one``."""

    name = "ocibuild, four at once"

    def __init__(self, one: Contestant) -> None:
        self._one = one

    def version(self) -> str:
        return f"{self._one.name}, in {_PROCESSES} processes with one store"

    def empty(self) -> None:
        self._one.empty()

    def renew(self) -> None:
        self._one.renew()

    def pull(self, reference: str) -> Command:
        return at_once(self._one.pull(reference), _PROCESSES)
