from __future__ import annotations

import gzip
import io
import random

import pytest
import zstandard

from ocibuild.errors import InvalidLayer
from ocibuild.layer.compression import PIECE, compressor, decompress
from ocibuild.oci import Compression

PLAIN = random.Random(1).randbytes(300_000) + b"x" * 3_000_000
SKIPPABLE = (0x184D2A53).to_bytes(4, "little") + (5).to_bytes(4, "little") + b"12345"


def _plain(blob: bytes, compression: Compression) -> bytes:
    return b"".join(decompress(io.BytesIO(blob), compression))


def _zstd(plain: bytes = PLAIN, *, write_checksum: bool = True, write_content_size: bool = True) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=write_checksum, write_content_size=write_content_size).compress(
        plain
    )


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("plain", [b"", b"a", PLAIN], ids=["empty", "one", "long"])
def test_what_is_compressed_comes_back(compression: Compression, plain: bytes) -> None:
    machine = compressor(compression)
    blob = machine.compress(plain) + machine.flush()
    assert _plain(blob, compression) == plain
    again = compressor(compression)
    assert again.compress(plain) + again.flush() == blob


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
