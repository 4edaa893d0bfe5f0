"""Layers compressed and decompressed as streams, with bounded memory and an end that is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, assert_never, cast

from ocibuild.errors import InvalidLayer
from ocibuild.layer.zstd_frames import FrameScanner
from ocibuild.oci import Compression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO

    from ocibuild.layer.reader import Readable

READ = 256 << 10
"""Compressed bytes read at once."""
PIECE = 1 << 20
"""Plain bytes in a piece, but for the last one."""

GZIP_LEVEL = 1
ZSTD_LEVEL = 3


class Compressor(Protocol):
    """Turns pieces of plain bytes into compressed ones; what comes back may be empty."""

    def compress(self, piece: bytes, /) -> bytes:
        """Return what is ready after ``piece``."""

    def flush(self) -> bytes:
        """Return the rest, once, at the end."""


def compressor(compression: Compression) -> Compressor:
    """Return a new compressor; its output depends on the plain bytes alone: no name, no time, no thread count."""
    match compression:
        case Compression.NONE:
            return _Plain()
        case Compression.GZIP:
            from isal import isal_zlib

            # 31: a gzip header, which carries the time 0, and the largest window.
            return isal_zlib.compressobj(GZIP_LEVEL, wbits=31)
        case Compression.ZSTD:
            import zstandard

            return zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).compressobj()
        case _:
            assert_never(compression)


class _Plain:
    def compress(self, piece: bytes, /) -> bytes:
        return piece

    def flush(self) -> bytes:
        return b""


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
