"""What every piece of work has."""

from __future__ import annotations

import itertools
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.images import publish
from benchmarks.measure import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.contestants import Contestant
    from benchmarks.images import Image, Variant
    from benchmarks.measure import Command
    from benchmarks.registry import Registry


@dataclass(frozen=True, slots=True)
class Targets:
    """The most that ocibuild may take: of the medians of peers, by name; in seconds; in MiB at the peak; of a count."""

    ratios: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    peak: float | None = 150
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """An image that a registry has."""

    reference: str
    variant: Variant


@dataclass(frozen=True, slots=True)
class Site:
    """Where the work is done: images come from ``registry`` and go to ``destination``.

    ``folder`` holds contexts and the last log.
    """

    registry: Registry
    destination: Registry
    folder: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _published: dict[tuple[str, str], Published] = field(default_factory=dict)

    @property
    def log(self) -> str:
        return os.path.join(self.folder, "log")

    def publish(self, image: Image, tag: str) -> Published:
        """Return a variant of an image, the same for all who ask for this tag.

        Where variants have nothing in common the last one makes room for it.
        """
        key = image.name, tag
        if key not in self._published:
            if image.fresh is None:
                self._retract(image.name)
            variant = image.variant(tag)
            self._published[key] = Published(publish(variant, self.registry.address, image.name), variant)
        return self._published[key]

    def _retract(self, name: str) -> None:
        for key in [key for key in self._published if key[0] == name]:
            self.registry.remove(self._published.pop(key).variant.sizes)

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
    """A piece of work. ``name`` is for the command line, ``title`` for the table.

    ``ours`` names the contestants that have targets, ``peers`` those that they are held against. ``counted`` says what
    is counted, if anything is; ``remark`` what else has to be known of the comparison. What is not ``timed`` is done
    once, for its memory; ``needs`` names a program.
    """

    name: str
    title: str
    targets: Targets
    ours: tuple[str, ...] = ("ocibuild, root", "ocibuild, user")
    peers: tuple[str, ...] = ()
    counted = ""
    remark = ""
    timed = True
    needs: str | None = None

    @property
    def contestants(self) -> tuple[str, ...]:
        """Who does it, in this order."""
        return (*self.ours, *self.peers)

    @abstractmethod
    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:
        """Do what must be done before, and return the command to measure in this turn, the first being 0.

        Raises CommandFailed.
        """

    def count(self, site: Site) -> int | None:  # noqa: ARG002  (most count nothing)
        """Return what is counted, once the command has ended. Raises CommandFailed where the work was not done."""
        return None

    def clear(self, contestant: Contestant, site: Site) -> None:  # noqa: B027  (most leave little)
        """Give back the space that the contestant's command took, whether it failed or not."""

    def finish(self, contestants: Sequence[Contestant], site: Site) -> None:  # noqa: B027  (most keep nothing)
        """Give back what was kept from turn to turn, after the last one."""
