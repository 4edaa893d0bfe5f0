"""A stream cut into chunks of one size, whatever the pieces that it comes in, while it is written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.layer.channel import Channel

CHUNK = 512 << 10
"""Bytes of a chunk, but for the last one of a stream."""
_FIRST = 32 << 10
"""Room of the first chunk until more is needed: most layers are small, and to get memory takes longer than these."""
_KEPT = 8 << 20


def keep_memory() -> None:
    """Let malloc keep the memory of chunks that are done with for those that follow, where it would give it back.

    glibc does so from when as much was freed at once, see mallopt(3), M_MMAP_THRESHOLD. To take its pages anew from the
    system for each chunk would be a tenth of the time that packing takes.
    """
    bytes(_KEPT)


class Chunker:
    """Hands each chunk to the channels that ``start`` gives once there is more than one; none is written to after that.

    ``progress`` hears of the bytes of each.
    """

    def __init__(
        self, start: Callable[[], Sequence[Channel[bytes]]], progress: Callable[[int], None] | None = None
    ) -> None:
        self._start = start
        self._channels: Sequence[Channel[bytes]] = ()
        self._progress = progress
        self._chunk = bytearray(_FIRST)
        self._used = 0

    def write(self, piece: bytes | memoryview) -> None:
        """Append a piece."""
        view = memoryview(piece)
        while view:
            start = self._room()
            self._used = min(start + len(view), len(self._chunk))
            self._chunk[start : self._used] = view[: self._used - start]
            view = view[self._used - start :]

    def read(self, fd: int, size: int) -> int:
        """Append ``size`` bytes from an open file, fewer where it ends before; return how many."""
        left = size
        while left:
            start = self._room()
            with memoryview(self._chunk) as view:
                count = os.readv(fd, [view[start : start + left]])
            if not count:
                break
            self._used += count
            left -= count
        return size - left

    def finish(self) -> bytes | None:
        """Finish the channels; where none was needed, return the only chunk."""
        last = bytes(memoryview(self._chunk)[: self._used])
        if not self._channels:
            self._tell(last)
            return last
        self._hand_on(last)
        for channel in self._channels:
            channel.finish()
        return None

    def _room(self) -> int:
        """Return where the next byte goes: where the chunk is full, into a larger one or the next one."""
        if self._used == _FIRST == len(self._chunk):
            self._chunk += bytes(CHUNK - _FIRST)
        elif self._used == CHUNK:
            self._channels = self._channels or self._start()
            self._hand_on(cast("bytes", self._chunk))  # nobody changes it any more
            self._chunk = bytearray(CHUNK)
            self._used = 0
        return self._used

    def _hand_on(self, chunk: bytes) -> None:
        self._tell(chunk)
        for channel in self._channels:
            channel.write(chunk)

    def _tell(self, chunk: bytes) -> None:
        if self._progress is not None:
            self._progress(len(chunk))
