from __future__ import annotations

import gzip
import io
import os
import random
import zlib
from functools import partial
from typing import TYPE_CHECKING

import pytest
import zstandard
from isal import igzip

from ocibuild.errors import InvalidLayer
from ocibuild.layer.channel import pipeline
from ocibuild.layer.chunks import CHUNK
from ocibuild.layer.compression import PIECE, compress, compression_threads, decompress
from ocibuild.layer.ordered import map_in_order
from ocibuild.oci import Compression
from tests.unit.layer.helpers import run, tool

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = random.Random(1).randbytes(300_000) + b"x" * 3_000_000
SKIPPABLE = (0x184D2A53).to_bytes(4, "little") + (5).to_bytes(4, "little") + b"12345"


def _plain(blob: bytes, compression: Compression) -> bytes:
    return b"".join(decompress(io.BytesIO(blob), compression))


def _zstd(plain: bytes = PLAIN, *, write_checksum: bool = True, write_content_size: bool = True) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=write_checksum, write_content_size=write_content_size).compress(
        plain
    )


def _chunks(plain: bytes) -> list[bytes]:
    return [plain[at : at + CHUNK] for at in range(0, len(plain), CHUNK)]


def _compressed(plain: bytes, compression: Compression, threads: int = 0) -> bytes:
    """Compress in so many threads, in none but this one where it is 0."""
    if not threads:
        return b"".join(compress(_chunks(plain), compression))
    with pipeline() as parts:
        over = partial(map_in_order, parts, threads)
        return b"".join(compress(_chunks(plain), compression, threads=threads, over=over))


_LENGTHS = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, len(PLAIN)]


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("length", _LENGTHS)
def test_what_is_compressed_comes_back(compression: Compression, length: int) -> None:
    assert _plain(_compressed(PLAIN[:length], compression), compression) == PLAIN[:length]


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("length", _LENGTHS)
def test_the_bytes_are_the_same_in_any_number_of_threads(compression: Compression, length: int) -> None:
    blobs = [_compressed(PLAIN[:length], compression, threads) for threads in (0, 1, 2, 3, 8)]
    assert blobs == blobs[:1] * 5


def _of_gzip(blob: bytes) -> bytes:
    """Return what gzip(1) makes of a blob."""
    return run(tool("gzip"), "-dc", input=blob)


@pytest.mark.parametrize("reader", [gzip.decompress, _of_gzip, igzip.decompress], ids=["python", "gzip", "isal"])
@pytest.mark.parametrize("length", _LENGTHS)
def test_others_read_our_gzip(length: int, reader: Callable[[bytes], bytes]) -> None:
    assert reader(_compressed(PLAIN[:length], Compression.GZIP)) == PLAIN[:length]


def test_our_gzip_is_one_member_without_name_and_time() -> None:
    blob = _compressed(PLAIN, Compression.GZIP)
    machine = zlib.decompressobj(31)
    assert machine.decompress(blob) == PLAIN
    assert (machine.eof, machine.unused_data) == (True, b"")
    assert blob[:10] == bytes.fromhex("1f8b08000000000004ff")


def test_our_zstd_is_one_frame() -> None:
    assert zstandard.ZstdDecompressor().decompressobj().decompress(_compressed(PLAIN, Compression.ZSTD)) == PLAIN


@pytest.mark.parametrize(("processors", "threads"), [({0}, 1), ({0, 5}, 2), (set(range(64)), 4)])
def test_as_many_threads_compress_as_there_are_processors_and_four_at_most(
    monkeypatch: pytest.MonkeyPatch, processors: set[int], threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: processors)
    assert compression_threads() == threads


@pytest.mark.parametrize(
    ("blob", "compression", "plain"),
    [
        pytest.param(gzip.compress(PLAIN) + gzip.compress(b"more"), Compression.GZIP, PLAIN + b"more", id="members"),
        pytest.param(gzip.compress(b"") * 5000 + gzip.compress(b"x"), Compression.GZIP, b"x", id="empty-members"),
        pytest.param(gzip.compress(b"x") * 9000, Compression.GZIP, b"x" * 9000, id="tiny-members"),
        pytest.param(gzip.compress(PLAIN) + bytes(700_000), Compression.GZIP, PLAIN, id="zeros-after"),
        pytest.param(_zstd() + _zstd(b"more"), Compression.ZSTD, PLAIN + b"more", id="frames"),
        pytest.param(SKIPPABLE + _zstd() + SKIPPABLE, Compression.ZSTD, PLAIN, id="skippable"),
        pytest.param(_zstd(write_checksum=True), Compression.ZSTD, PLAIN, id="checksum"),
        pytest.param(_zstd(write_content_size=False), Compression.ZSTD, PLAIN, id="no-size"),
        pytest.param(_zstd(b""), Compression.ZSTD, b"", id="empty-frame"),
        pytest.param(PLAIN, Compression.NONE, PLAIN, id="plain"),
    ],
)
def test_what_others_write_is_read(blob: bytes, compression: Compression, plain: bytes) -> None:
    pieces = list(decompress(io.BytesIO(blob), compression))
    assert b"".join(pieces) == plain
    assert all(len(piece) <= 2 * PIECE for piece in pieces)


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 1000, 100_000])
@pytest.mark.parametrize(
    ("blob", "compression"),
    [
        (gzip.compress(PLAIN), Compression.GZIP),
        (_zstd(write_checksum=True), Compression.ZSTD),
        (_zstd(write_checksum=False), Compression.ZSTD),
    ],
    ids=["gzip", "zstd-checksum", "zstd"],
)
def test_a_stream_that_ends_early_is_refused(blob: bytes, compression: Compression, cut: int) -> None:
    with pytest.raises(InvalidLayer):
        _plain(blob[:-cut], compression)


@pytest.mark.parametrize(
    ("blob", "compression"),
    [
        pytest.param(b"", Compression.GZIP, id="gzip-empty"),
        pytest.param(b"plain text", Compression.GZIP, id="not-gzip"),
        pytest.param(gzip.compress(PLAIN) + b"garbage", Compression.GZIP, id="gzip-garbage-after"),
        pytest.param(gzip.compress(PLAIN)[:-8] + b"12345678", Compression.GZIP, id="gzip-checksum"),
        pytest.param(b"plain text", Compression.ZSTD, id="not-zstd"),
        pytest.param(_zstd() + b"garbage", Compression.ZSTD, id="zstd-garbage-after"),
        pytest.param(_zstd(write_checksum=True)[:-4] + b"1234", Compression.ZSTD, id="zstd-checksum"),
        pytest.param(_zstd() + SKIPPABLE[:-1], Compression.ZSTD, id="zstd-skippable-cut"),
    ],
)
def test_a_damaged_stream_is_refused(blob: bytes, compression: Compression) -> None:
    with pytest.raises(InvalidLayer):
        _plain(blob, compression)


@pytest.mark.parametrize(
    ("blob", "compression"),
    [
        (gzip.compress(bytes(200 << 20), 9), Compression.GZIP),
        (zstandard.ZstdCompressor().compress(bytes(200 << 20)), Compression.ZSTD),
    ],
    ids=["gzip", "zstd"],
)
def test_a_bomb_comes_in_small_pieces(blob: bytes, compression: Compression) -> None:
    sizes = [len(piece) for piece in decompress(io.BytesIO(blob), compression)]
    assert (sum(sizes), max(sizes) <= 2 * PIECE) == (200 << 20, True)


def test_progress_counts_what_was_read() -> None:
    blob = gzip.compress(PLAIN)
    steps: list[int] = []
    for _ in decompress(io.BytesIO(blob), Compression.GZIP, steps.append):
        pass
    assert sum(steps) == len(blob)
