"""What every piece of work has."""

from __future__ import annotations

import itertools
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.measure import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.base import Base
    from benchmarks.contestants import Contestant
    from benchmarks.measure import Command


@dataclass(frozen=True, slots=True)
class Targets:
    """The most that ocibuild may take: of the medians of peers, by name; in seconds; in MiB at the peak."""

    ratios: Mapping[str, float]
    seconds: float | None = None
    peak: float = 150


@dataclass(frozen=True, slots=True)
class Site:
    """Where the work is done: ``folder`` holds contexts and the last log."""

    base: Base
    folder: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _references: dict[str, str] = field(default_factory=dict)

    @property
    def log(self) -> str:
        return os.path.join(self.folder, "log")

    def variant(self, tag: str) -> str:
        """Return the reference of a variant of the base image, the same for all who ask for this tag."""
        if tag not in self._references:
            self._references[tag] = self.base.push(tag)
        return self._references[tag]

    def context(self, reference: str, *instructions: str) -> str:
        """Write a context whose Dockerfile has these instructions after FROM; return its path."""
        path = os.path.join(self.folder, f"context-{next(self._numbers)}")
        os.mkdir(path)
        with open(os.path.join(path, "Dockerfile"), "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in (f"FROM {reference}", *instructions))
        return path

    def do(self, command: Command) -> None:
        """Run a command that nobody measures. Raises CommandFailed."""
        run(command, self.log)


class Work(ABC):
    """A piece of work. ``name`` is for the command line, ``title`` for the table."""

    name: str
    title: str
    targets: Targets

    @abstractmethod
    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:
        """Do what must be done before, and return the command to measure in this turn, the first being 0.

        Raises CommandFailed.
        """
