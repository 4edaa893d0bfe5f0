"""A layer that is larger than the memory should be: one file, made while it is sent."""

from __future__ import annotations

import gzip
from functools import cached_property
from itertools import chain, repeat
from random import Random
from typing import TYPE_CHECKING

from benchmarks.images.files import content
from benchmarks.images.layer import Layer, tar_header

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 64 << 20


class Huge(Layer):
    """A file of ``size`` bytes, a multiple of 64 MiB: the same block again and again, each a member of the gzip file.

    A tenth of the block is text, so that it is compressed and yet hardly smaller.
    """

    def __init__(self, size: int) -> None:
        self._header = tar_header("huge", size)
        self._blocks = size // _BLOCK

    def packed(self) -> Iterator[bytes]:
        return chain([gzip.compress(self._header, mtime=0)], repeat(self._packed_block, self._blocks))

    def plain(self) -> Iterator[bytes]:
        return chain([self._header], repeat(self._block, self._blocks))

    @cached_property
    def _block(self) -> bytes:
        return b"".join(content(Random("huge"), _BLOCK, text=0.1))

    @cached_property
    def _packed_block(self) -> bytes:
        return gzip.compress(self._block, 6, mtime=0)
