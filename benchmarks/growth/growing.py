"""What grows."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from benchmarks.contexts import change, first_file, write_large_file
from benchmarks.files import write_files
from benchmarks.images import BASE, TINY
from benchmarks.machine import hollow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.contestants import Contestant
    from benchmarks.measure import Command
    from benchmarks.works import Site

_MOST_STEPS = 498  # an image has 500 layers at most; one is the base, one a copy from the stage before
_SMALL_FILE = 1 << 10


class Growing(ABC):
    """A build that there is in many sizes; ``smallest`` does all that is done once, and as little else as can be."""

    name: str
    title: str
    smallest = 1
    sizes: tuple[int, ...]

    @abstractmethod
    def prepare(self, contestant: Contestant, site: Site, size: int, turn: int) -> Command:
        """Do what must be done before, and return the build of this size that nobody has seen; turns are unique.

        Raises CommandFailed.
        """

    def finish(self) -> None:  # noqa: B027  (steps leave little)
        """Give back the space that was taken from turn to turn."""


class GrowingSteps(Growing):
    """Trivial steps, one on the other.

    What one image cannot hold goes on in another stage, which begins with a file of the one before: so no step of it
    runs until those before have ended.
    """

    name = "steps"
    title = "RUN steps"

    def __init__(self, sizes: tuple[int, ...] = (10, 100, 1_000)) -> None:
        self.sizes = sizes

    def prepare(self, contestant: Contestant, site: Site, size: int, turn: int) -> Command:
        base = site.publish(BASE, "warm").reference
        site.do(contestant.build(site.context(base, "RUN echo present"), "bench-present"))
        return contestant.build(site.context(base, *instructions(base, size, turn)), "bench-growth")


def instructions(base: str, steps: int, turn: int) -> Iterator[str]:
    """Yield what comes after the first FROM, for this many steps."""
    for step in range(steps):
        if step and step % _MOST_STEPS == 0:
            yield f"FROM {base}"
            yield f"COPY --from={step // _MOST_STEPS - 1} /variant-warm /before"
        yield f"RUN echo {turn} {step}"


class _GrowingContext(Growing):
    """One COPY of everything in a context; all sizes lie there from the first turn to the last, with one change each.

    The store is a new one in each turn: it remembers no digests of the files.
    """

    def __init__(self) -> None:
        self._contexts: dict[int, str] = {}

    def prepare(self, contestant: Contestant, site: Site, size: int, turn: int) -> Command:
        contestant.renew()
        base = site.publish(TINY, "warm").reference
        site.do(contestant.pull(base))
        if size not in self._contexts:
            self._contexts[size] = site.context(base, "COPY tree /tree")
            self._write(self._tree(size), size)
        change(self._changed(self._tree(size)), f"{turn}\n")
        return contestant.build(self._contexts[size], "bench-growth")

    def finish(self) -> None:
        for context in self._contexts.values():
            hollow(context)

    def _tree(self, size: int) -> str:
        return os.path.join(self._contexts[size], "tree")

    @abstractmethod
    def _write(self, tree: str, size: int) -> None:
        """Make the tree."""

    @abstractmethod
    def _changed(self, tree: str) -> str:
        """Return the file that is another one in each turn."""


class GrowingFiles(_GrowingContext):
    """Files of 1 KiB, a hundred in each folder."""

    name = "files"
    title = "files of 1 KiB in a COPY"

    def __init__(self, sizes: tuple[int, ...] = (1_000, 5_000, 20_000, 80_000, 200_000)) -> None:
        super().__init__()
        self.sizes = sizes

    def _write(self, tree: str, size: int) -> None:
        write_files(tree, "growth", size, _SMALL_FILE)

    def _changed(self, tree: str) -> str:
        return first_file(tree)


class GrowingBytes(_GrowingContext):
    """One file, half noise and half text, without holes."""

    name = "bytes"
    title = "MiB in a COPY of one file"
    smallest = 0

    def __init__(self, sizes: tuple[int, ...] = (10, 80, 700, 8_192)) -> None:
        super().__init__()
        self.sizes = sizes

    def _write(self, tree: str, size: int) -> None:
        os.mkdir(tree)
        write_large_file(self._changed(tree), size << 20)

    def _changed(self, tree: str) -> str:
        return os.path.join(tree, "large")
