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
    """Where the work is done: ``base`` is the base image's reference, ``folder`` holds contexts and the last log."""

    base: str
    folder: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def log(self) -> str:
        return os.path.join(self.folder, "log")

    def fresh(self) -> int:
        """Return a number that was not there before in this run."""
        return next(self._numbers)

    def context(self, *instructions: str) -> str:
        """Write a context whose Dockerfile has the base and these instructions; return its path."""
        path = os.path.join(self.folder, f"context-{self.fresh()}")
        os.mkdir(path)
        with open(os.path.join(path, "Dockerfile"), "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in (f"FROM {self.base}", *instructions))
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
    def prepare(self, contestant: Contestant, site: Site) -> Command:
        """Do what must be done before, and return the command to measure. Raises CommandFailed."""
