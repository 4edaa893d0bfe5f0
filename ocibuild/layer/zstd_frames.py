"""Where zstd frames begin and end, so that a stream which ends in the middle of one is not taken for a whole one.

The decompressor of the library returns what there is and says nothing; the frame format tells with a few bytes for each
block of 128 KiB. See RFC 8878, section 3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import InvalidLayer

if TYPE_CHECKING:
    from collections.abc import Generator

_FRAME = 0xFD2FB528
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_RLE_BLOCK = 1
_DICTIONARY_ID_BYTES = (0, 1, 2, 4)
_CONTENT_SIZE_BYTES = (0, 2, 4, 8)


class FrameScanner:
    """Follows the frames of a stream that is fed to it, without decompressing them."""

    def __init__(self) -> None:
        self._between_frames = True
        self._walk = self._frames()
        self._wanted = next(self._walk)
        self._held = b""

    def feed(self, piece: bytes) -> None:
        """Follow the next bytes of the stream; InvalidLayer where no frame begins when one must."""
        at = 0
        while at < len(piece):
            if self._wanted < 0:
                step = min(-self._wanted, len(piece) - at)
                self._wanted += step
            else:
                step = min(self._wanted - len(self._held), len(piece) - at)
                self._held += piece[at : at + step]
            at += step
            if len(self._held) == self._wanted:
                held, self._held = self._held, b""
                self._wanted = self._walk.send(held)

    def finish(self) -> None:
        """Say that the stream has ended; InvalidLayer where a frame has not."""
        if self._held or not self._between_frames:
            raise InvalidLayer("the zstd stream ends too early", remedy="fetch the layer again")

    def _frames(self) -> Generator[int, bytes, None]:
        """Walk the stream: ask for N bytes with N, pass over N bytes with -N."""
        while True:
            self._between_frames = True
            magic = int.from_bytes((yield 4), "little")
            self._between_frames = False
            if magic == _FRAME:
                yield from _frame()
            elif magic in _SKIPPABLE:
                yield from _pass_over(int.from_bytes((yield 4), "little"))
            else:
                raise InvalidLayer("not zstd: something else stands where a frame must begin")


def _frame() -> Generator[int, bytes, None]:
    """Walk one frame after its magic number: header, blocks, checksum."""
    descriptor = (yield 1)[0]
    single_segment = descriptor >> 5 & 1
    content_size = _CONTENT_SIZE_BYTES[descriptor >> 6] or single_segment
    window = 1 - single_segment
    yield from _pass_over(window + _DICTIONARY_ID_BYTES[descriptor & 3] + content_size)
    is_last = 0
    while not is_last:
        block = int.from_bytes((yield 3), "little")
        is_last = block & 1
        yield from _pass_over(1 if block >> 1 & 3 == _RLE_BLOCK else block >> 3)
    if descriptor & 4:
        yield -4


def _pass_over(count: int) -> Generator[int, bytes, None]:
    if count:
        yield -count
