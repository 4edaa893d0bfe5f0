"""Layers compressed and decompressed as streams, with bounded memory and an end that is checked."""

from __future__ import annotations

import os
import struct
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, assert_never, cast

from ocibuild.errors import InvalidLayer
from ocibuild.layer.zstd_frames import FrameScanner
from ocibuild.oci import Compression
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO

    from ocibuild.layer.reader import Readable

READ = 256 << 10
"""Compressed bytes read at once."""
PIECE = 1 << 20
"""Plain bytes of a decompressed piece, but for the last one."""

GZIP_LEVEL = 1
ZSTD_LEVEL = 3
MOST_THREADS = 4
"""More compress quicker than one thread takes the SHA-256 of the plain bytes."""

_GZIP_HEADER = b"\x1f\x8b\x08\0" + bytes(4) + b"\x04\xff"
"""Without a name and with the time 0; compressed quickly, on no system in particular. See RFC 1952, section 2.3."""
_LAST_BLOCK = b"\x03\0"
"""A deflate block that is empty, and the last one. See RFC 1951, section 3.2.6."""

Over: TypeAlias = "Callable[[Callable[[bytes], _Deflated], Iterable[bytes]], Iterable[_Deflated]]"


def compression_threads() -> int:
    """Return how many threads may well compress one layer, on the processors that this process may use."""
    return min(len(os.sched_getaffinity(0)), MOST_THREADS)


def compress(
    chunks: Iterable[bytes],
    compression: Compression,
    *,
    level: int | None = None,
    threads: int = 1,
    over: Over = map,
) -> Iterator[bytes]:
    """Yield compressed what is in ``chunks``, each of CHUNK bytes but for the last, which may not be empty.

    The bytes depend on the plain ones and the level alone: no name, no time, no number of threads. ``level`` is one of
    gzip's 0 to 9 or zstd's 1 to 22; without one the quickest that is worth it is taken. ``over`` does what ``map()``
    does and may do so in several threads; zstd has ``threads`` of its own.
    """
    match compression:
        case Compression.NONE:
            return iter(chunks)
        case Compression.GZIP:
            return _gzip(chunks, level, over)
        case Compression.ZSTD:
            return _zstd(chunks, level, threads)
        case _:
            assert_never(compression)


def _gzip(chunks: Iterable[bytes], level: int | None, over: Over) -> Iterator[bytes]:
    """Yield one member, whose chunks know nothing of each other."""
    from isal import isal_zlib

    crc = size = 0
    yield _GZIP_HEADER
    for deflated in over(_deflate if level is None else partial(_deflate_at, level), chunks):
        yield from deflated.blocks
        crc = isal_zlib.crc32_combine(crc, deflated.crc, deflated.size)
        size += deflated.size
    yield _LAST_BLOCK + struct.pack("<II", crc, size & 0xFFFFFFFF)


class _Deflated(NamedTuple):
    """A chunk as deflate blocks that end at a byte and are not the last ones, with checksum and size of the chunk."""

    blocks: tuple[bytes, bytes]
    crc: int
    size: int


def _deflate(chunk: bytes) -> _Deflated:
    from isal import isal_zlib

    machine = isal_zlib.compressobj(GZIP_LEVEL, wbits=-15)  # a raw stream, and the largest window
    blocks = machine.compress(chunk), machine.flush(isal_zlib.Z_FULL_FLUSH)
    return _Deflated(blocks, isal_zlib.crc32(chunk), len(chunk))


def _deflate_at(level: int, chunk: bytes) -> _Deflated:
    """Compress a chunk as zlib does at one of its own levels, of which isal has but the quickest."""
    import zlib

    machine = zlib.compressobj(level, zlib.DEFLATED, -15)
    blocks = machine.compress(chunk), machine.flush(zlib.Z_FULL_FLUSH)
    return _Deflated(blocks, zlib.crc32(chunk), len(chunk))


def _zstd(chunks: Iterable[bytes], level: int | None, threads: int) -> Iterator[bytes]:
    """Yield one frame. The library gives the same bytes for any number of its threads, but others without any."""
    import zstandard

    level = ZSTD_LEVEL if level is None else level
    machine = zstandard.ZstdCompressor(level=level, write_checksum=True, threads=threads).compressobj()
    yield from filter(None, map(machine.compress, chunks))
    yield machine.flush()


def decompress(
    blob: Readable, compression: Compression, progress: Callable[[int], None] | None = None
) -> Iterator[bytes]:
    """Yield the plain bytes of ``blob`` in pieces of 1 MiB, the last one shorter.

    gzip may have several members and zeros after the last; zstd several frames and skippable ones. ``progress`` hears
    how many further compressed bytes were read. Raises InvalidLayer where the stream is damaged, ends too early, or
    something follows it.
    """
    source = _Source(blob, progress)
    match compression:
        case Compression.NONE:
            return iter(lambda: source.read(PIECE), b"")
        case Compression.GZIP:
            return _whole_pieces(_gunzip(source))
        case Compression.ZSTD:
            return _unzstd(source)
        case _:
            assert_never(compression)


class _Source:
    """A blob read in pieces, telling how far it is."""

    def __init__(self, blob: Readable, progress: Callable[[int], None] | None) -> None:
        self._blob = blob
        self._progress = progress
        self.frames: FrameScanner | None = None

    def read(self, size: int = READ) -> bytes:
        piece = self._blob.read(size)
        if piece and self._progress is not None:
            self._progress(len(piece))
        if self.frames is not None:
            self.frames.feed(piece)
        return piece


def _gunzip(source: _Source) -> Iterator[bytes]:
    """Yield what the members hold, each piece of 1 MiB at most. See RFC 1952, section 2.2."""
    from isal import igzip_lib

    rest = source.read()
    while True:
        member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        while not member.eof:
            if member.needs_input and not rest:
                raise InvalidLayer("the gzip stream ends too early", remedy="fetch the layer again")
            try:
                yield member.decompress(rest, PIECE)
            except igzip_lib.IsalError as error:  # type: ignore[misc]  # the stub takes it for an instance
                raise InvalidLayer(f"not gzip, or damaged: {error}", remedy="fetch the layer again") from error
            rest = source.read() if member.needs_input and not member.eof else b""
        rest = member.unused_data or source.read()
        while rest and not rest.strip(b"\0"):
            rest = source.read()
        if not rest:
            return


def _unzstd(source: _Source) -> Iterator[bytes]:
    """Yield what the frames hold. See RFC 8878, section 3."""
    import zstandard

    source.frames = FrameScanner()
    file = cast("IO[bytes]", source)
    reader = zstandard.ZstdDecompressor().stream_reader(file, read_size=READ, read_across_frames=True)
    try:
        yield from iter(lambda: reader.read(PIECE), b"")
    except zstandard.ZstdError as error:
        raise InvalidLayer(f"not zstd, or damaged: {error}", remedy="fetch the layer again") from error
    source.frames.finish()


def _whole_pieces(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Join pieces that are much too short, of which a stranger could send millions."""
    held: list[bytes] = []
    length = 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= PIECE // 2 or len(held) >= 4096:
            yield b"".join(held) if len(held) > 1 else piece
            held.clear()
            length = 0
    if held:
        yield b"".join(held)
