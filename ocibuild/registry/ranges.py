"""A large blob in several ranges at the same time, where one connection does not give what the network could.

One connection is opened first. While it is slow and the registry has places left, what is still missing is divided, and
one connection more fetches the later half; no more are added once that did not make the whole faster.
"""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from ocibuild.errors import OcibuildError
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.oci import Descriptor, Reference
    from ocibuild.registry.client import Registry
    from ocibuild.store import BlobWriter

_GAIN: Final = 1.2  # of the speed, that one connection more must bring


def fetch_in_ranges(
    registry: Registry, reference: Reference, blob: Descriptor, writer: BlobWriter, progress: Callable[[int], None]
) -> None:
    """Fetch a blob into ``writer``, in one range or several; ``progress`` hears how many bytes are here.

    Raises RegistryError, DigestMismatch.
    """
    fetch = _Fetch(registry, reference, blob, writer, progress)
    try:
        fetch.run()
    finally:
        fetch.end()


@dataclass(slots=True, eq=False)
class _Range:
    """A part of the blob on its way: ``at`` is the next byte; ``end`` comes closer where the part is divided.

    ``thread`` fetches it ahead of the writer, until it ``has_ended``; without one it is the writer's to fetch.
    """

    start: int
    at: int
    end: int
    thread: threading.Thread | None = None
    has_ended: bool = False


class _Fetch:
    """One fetch; all but the threads of ranges run in the thread of the caller."""

    def __init__(
        self,
        registry: Registry,
        reference: Reference,
        blob: Descriptor,
        writer: BlobWriter,
        progress: Callable[[int], None],
    ) -> None:
        self._registry = registry
        self._reference = reference
        self._blob = blob
        self._writer = writer
        self._progress = progress
        self._ranges = [_Range(0, 0, blob.size)]
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()  # guards the ranges
        self._is_over = False
        self._policy = registry.policy
        self._looked = (time.monotonic(), 0)
        self._speed_before = 0.0
        self._is_settled = blob.size < self._policy.range_least

    def run(self) -> None:
        """Fetch the first range, or take over what was fetched of it ahead; then the next one."""
        while self._ranges:
            first = self._ranges[0]
            if first.thread is None:
                self._fetch(first, self._append)
            else:
                self._take_over(first)
            if first.at >= first.end:
                self._ranges.pop(0)

    def end(self) -> None:
        """Let every thread end, and wait for it."""
        self._is_over = True
        for thread in self._threads:
            thread.join()

    def _fetch(self, one: _Range, put: Callable[[int, bytes], None]) -> None:
        end = one.end if one.thread else None  # the writer's own is read as far as it is wanted then
        with closing(self._registry.blob(self._reference, self._blob, one.at, end)) as pieces:
            for piece in pieces:
                wanted = one.end - one.at
                put(one.at, piece[:wanted] if len(piece) > wanted else piece)
                with self._changed:
                    one.at += min(len(piece), wanted)
                    self._changed.notify_all()
                if one.at >= one.end or self._is_over:
                    return
                if one.thread is None:
                    self._look()

    def _append(self, _offset: int, piece: bytes) -> None:
        self._writer.write(piece)
        self._progress(self._writer.size)

    def _take_over(self, one: _Range) -> None:
        """Append what a thread fetches; what it leaves out is the writer's."""
        while self._writer.size < one.end:
            with self._changed:
                self._changed.wait_for(lambda: one.at > self._writer.size or one.has_ended)
                there = min(one.at, one.end)
            if there == self._writer.size:
                one.thread = None
                return
            self._writer.adopt(there)
            self._progress(self._writer.size)
            self._look()

    def _look(self) -> None:
        """Add a connection now and then, where that may help."""
        now, before = time.monotonic(), self._looked
        if self._is_settled or now - before[0] < self._policy.range_pause:
            return
        with self._changed:
            arrived = self._ranges[0].start + sum(min(one.at, one.end) - one.start for one in self._ranges)
            self._looked = (now, arrived)
            speed = (arrived - before[1]) / (now - before[0])
            self._is_settled = speed < self._speed_before * _GAIN
            if not self._is_settled and speed < self._policy.range_speed:
                self._divide(speed)

    def _divide(self, speed: float) -> None:
        """Let another thread fetch the later half of what is missing of the largest range."""
        largest = max(self._ranges, key=lambda one: one.end - one.at)
        missing = largest.end - largest.at
        if missing < self._policy.range_least or not self._registry.has_place(self._reference):
            return
        middle = largest.end - missing // 2
        half = _Range(middle, middle, largest.end)
        half.thread = threading.Thread(target=self._fetch_ahead, args=(half,), name="range", daemon=True)
        largest.end = middle
        self._ranges.insert(self._ranges.index(largest) + 1, half)
        self._threads.append(half.thread)
        self._speed_before = speed
        half.thread.start()

    def _fetch_ahead(self, one: _Range) -> None:
        try:
            self._fetch(one, self._writer.write_ahead)
        except (OcibuildError, OSError):
            pass  # the writer comes to the same place, and meets it itself
        finally:
            with self._changed:
                one.has_ended = True
                self._changed.notify_all()
