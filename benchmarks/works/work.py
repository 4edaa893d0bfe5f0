"""What every piece of work has."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from benchmarks.measure import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.contestants import Contestant, Kind
    from benchmarks.measure import Command

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Targets:
    """The most that ocibuild may take: of each peer's median, in seconds, and in bytes at the peak."""

    ratios: Mapping[Kind, float]
    seconds: float | None = None
    peak: int = 150 * MIB


@dataclass(frozen=True, slots=True)
class Site:
    """Where the work is done: ``base`` is the base image's reference, ``folder`` holds contexts and logs."""

    base: str
    folder: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def log(self) -> str:
        return os.path.join(self.folder, "log")

    def context(self, *instructions: str) -> str:
        """Write a context whose Dockerfile has the base and these instructions; return its path."""
        path = os.path.join(self.folder, f"context-{self.fresh()}")
        os.mkdir(path)
        with open(os.path.join(path, "Dockerfile"), "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in (f"FROM {self.base}", *instructions))
        return path

    def fresh(self) -> int:
        """Return a number that was not there before in this run."""
        return next(self._numbers)

    def do(self, command: Command) -> None:
        """Run a command that nobody measures. Raises CommandFailed."""
        run(command, self.log)


class Work(Protocol):
    """A piece of work. ``name`` is for the command line, ``title`` for the table."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def targets(self) -> Targets: ...

    def prepare(self, contestant: Contestant, site: Site) -> Command:
        """Do what must be done before, and return the command to measure. Raises CommandFailed."""
        ...
