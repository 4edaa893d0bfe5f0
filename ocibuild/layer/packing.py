"""A tar made into a layer as it comes: cut into chunks, hashed, compressed and handed on at the same time."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from ocibuild.layer.channel import pipeline
from ocibuild.layer.chunks import Chunker, keep_memory
from ocibuild.layer.compression import compress
from ocibuild.layer.ordered import map_in_order
from ocibuild.layer.tally import Tally, drain
from ocibuild.oci import DiffID
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.layer.channel import Channel
    from ocibuild.oci import Compression


@dataclass(frozen=True, slots=True)
class Packing:
    """A layer being made of what is written to ``chunks``; its diff ID is known once the block is left."""

    chunks: Chunker
    _plain: Tally

    @property
    def diff_id(self) -> DiffID:
        """The digest of the plain tar."""
        return DiffID(self._plain.digest())


@contextmanager
def packing(
    sink: Callable[[bytes], object],
    *,
    compression: Compression,
    level: int | None = None,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Packing]:
    """Give what a tar is written to, and the compressed bytes of it to ``sink``, from one thread, this or another.

    ``level`` is as in ``compress()``. The bytes are the same whatever the number of ``threads``. ``progress`` hears how
    many further bytes of the plain tar came. No thread outlives the block; leaving it raises what ``sink`` raised.
    """
    plain_hash = Tally()
    with pipeline() as parts:

        def start() -> tuple[Channel[bytes], ...]:
            keep_memory()
            hashed, plain = parts.channel(), parts.channel()
            over = partial(map_in_order, parts, threads)
            blob = compress(plain, compression, level=level, threads=threads, over=over)
            parts.start(lambda: drain(hashed, plain_hash.add), "hash")
            parts.start(lambda: drain(blob, sink), "write")
            return hashed, plain

        chunks = Chunker(start, progress)
        yield Packing(chunks, plain_hash)
        only = chunks.finish()
    if only is not None:  # threads would take longer to start than this
        plain_hash.add(only)
        drain(compress([only], compression, level=level), sink)
