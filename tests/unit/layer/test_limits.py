"""What a layer may cost: bombs of bytes, of holes, of names and of copies end at a limit."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zlib
from typing import TYPE_CHECKING

import pytest
import zstandard

from ocibuild.errors import DigestMismatch, InvalidLayer
from ocibuild.fs import Root
from ocibuild.layer import limits
from ocibuild.layer.apply import apply, verify
from ocibuild.layer.limits import Allowance
from ocibuild.layer.pax import format_records
from ocibuild.layer.settle import settle
from ocibuild.oci import Compression, DiffID, Digest, Limits
from tests.unit.layer.helpers import OWNERS, directory, hardlink, member, symlink, tar_of, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NARROW = Limits(total=3 << 20, ratio=10, entries=50)
TRUST = "where the image is trusted, raise `{}` under \\[limits\\]"


@pytest.fixture(autouse=True)
def _little_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FREE", 1 << 20)
    monkeypatch.setattr(limits, "MAX_HELD", 100_000)


def _blob(tar: bytes, compression: Compression) -> bytes:
    match compression:
        case Compression.GZIP:
            return gzip.compress(tar)
        case Compression.ZSTD:
            return zstandard.compress(tar)
        case _:
            return tar


def _apply(
    blob: bytes, path: Path, compression: Compression = Compression.NONE, allowance: Allowance | None = None
) -> int:
    path.mkdir()
    with Root.open(path) as root:
        return apply(
            io.BytesIO(blob), compression, root, owners=OWNERS, limits=NARROW, allowance=allowance, name="sha256:abc"
        ).size


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_a_ratio_is_allowed_up_to_the_free_bytes_and_refused_from_there(
    tmp_path: Path, compression: Compression
) -> None:
    assert _apply(_blob(tar_of(member("f", body=bytes(900_000))), compression), tmp_path / "a", compression) > 900_000
    bomb = _blob(tar_of(member("f", body=bytes(2_500_000))), compression)
    with pytest.raises(InvalidLayer, match=f"sha256:abc: a decompression bomb.*{TRUST.format('layer-ratio')}"):
        _apply(bomb, tmp_path / "b", compression)


def test_the_ratio_counts_bytes_that_compress_badly_in_favour_of_those_that_compress_well(tmp_path: Path) -> None:
    blob = gzip.compress(tar_of(member("f", body=os.urandom(200_000)), member("g", body=bytes(2_000_000))))
    assert _apply(blob, tmp_path / "a", Compression.GZIP) > 2_000_000


def test_the_total_is_of_all_layers_of_an_image(tmp_path: Path) -> None:
    tar = tar_of(member("f", body=bytes(1_400_000)))
    allowance = Allowance(NARROW.total)
    _apply(tar, tmp_path / "a", allowance=allowance)
    _apply(tar, tmp_path / "b", allowance=allowance)
    with pytest.raises(
        InvalidLayer, match=f"sha256:abc: the image has more than 3145728.*{TRUST.format('image-size')}"
    ):
        _apply(tar, tmp_path / "c", allowance=allowance)


def test_garbage_after_the_end_of_the_archive_counts(tmp_path: Path) -> None:
    blob = gzip.compress(tar_of(member("f")) + bytes(2_500_000))
    with pytest.raises(InvalidLayer, match="bomb"):
        _apply(blob, tmp_path / "a", Compression.GZIP)
    with pytest.raises(InvalidLayer, match="image-size"):
        _apply(tar_of(member("f")) + os.urandom(4_000_000), tmp_path / "b")


def _endless(start: bytes, compression: Compression) -> Iterator[bytes]:
    """Yield a compressed stream that begins with a tar and goes on with zeros for ever."""
    machine = (
        zlib.compressobj(9, wbits=31) if compression is Compression.GZIP else zstandard.ZstdCompressor().compressobj()
    )
    yield machine.compress(start)
    zeros = bytes(1 << 20)
    while True:
        yield machine.compress(zeros)


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_an_endless_stream_ends(compression: Compression) -> None:
    pieces = _endless(tar_of(member("f")), compression)

    class Endless:
        def read(self, _size: int, /) -> bytes:
            return next(piece for piece in pieces if piece)

    with pytest.raises(InvalidLayer, match="bomb"):
        verify(Endless(), compression, limits=NARROW)


def _sparse(size: int) -> bytes:
    """Return a tar of a sparse file, one byte and then a hole."""
    records = {"GNU.sparse.map": b"0,1", "GNU.sparse.size": b"%d" % size, "GNU.sparse.name": b"f"}
    content = format_records(records)
    header, _ = member("pax", b"x", size=len(content))
    return header.tobuf(tarfile.USTAR_FORMAT) + content.ljust(512, b"\0") + tar_of(member("f", body=b"x"))


@pytest.mark.parametrize("size", [4 << 20, 1 << 40, (1 << 63) - 1], ids=["4-MiB", "1-TiB", "8-EiB"])
def test_the_holes_of_sparse_files_count(tmp_path: Path, size: int) -> None:
    with pytest.raises(InvalidLayer, match="image-size"):
        _apply(_sparse(size), tmp_path / "a")
    assert not (tmp_path / "a/f").exists()


def test_a_sparse_file_within_the_limits_is_made(tmp_path: Path) -> None:
    _apply(_sparse(2 << 20), tmp_path / "a")
    assert (tmp_path / "a/f").stat().st_size == 2 << 20


def test_entries_are_counted(tmp_path: Path) -> None:
    _apply(tar_of(*(member(f"f{number}") for number in range(50))), tmp_path / "a")
    with pytest.raises(InvalidLayer, match=f"more than 50 entries.*{TRUST.format('layer-entries')}"):
        _apply(tar_of(*(member("f") for _ in range(51))), tmp_path / "b")


@pytest.mark.parametrize(
    "entry",
    [
        lambda number: directory(f"d{number}" + "x" * 200),
        lambda number: member("a/" * 100 + f"{number}/f"),
        lambda number: hardlink(f"h{number}", "below/" * 50 + "f"),
        lambda number: member(f".wh.{number}" + "x" * 200),
        lambda number: member(f"{number}/" + "d/" * 50 + ".wh..wh..opq"),
    ],
    ids=["directories", "implied-directories", "links-to-layers-below", "whiteouts", "opaque-whiteouts"],
)
def test_the_names_that_must_be_remembered_are_counted(tmp_path: Path, entry: object) -> None:
    tar = tar_of(*(entry(number) for number in range(400)))  # type: ignore[operator]
    with pytest.raises(InvalidLayer, match="too many directories"):
        unpack(tar, tmp_path / "a")


def test_copies_that_stand_for_links_between_layers_count(tmp_path: Path) -> None:
    unpack(tar_of(*(member(f"f{number}", body=bytes(900_000)) for number in range(4))), tmp_path / "below")
    links = [hardlink(f"h{number}", f"f{number}") for number in range(4)]
    applied = unpack(tar_of(*links), tmp_path / "top")
    with (
        Root.open(tmp_path / "top") as root,
        Root.open(tmp_path / "below") as below,
        pytest.raises(InvalidLayer, match="image-size"),
    ):
        settle(root, applied, [below], Allowance(3_000_000))
    applied = unpack(tar_of(*(hardlink(f"h{number}", "f0") for number in range(40))), tmp_path / "second")
    with Root.open(tmp_path / "second") as root, Root.open(tmp_path / "below") as below:
        settle(root, applied, [below], Allowance(1_000_000))
    assert (tmp_path / "second/h0").stat().st_nlink == 40


@pytest.mark.parametrize("compression", Compression)
def test_a_layer_is_verified_without_being_unpacked(compression: Compression) -> None:
    tar = tar_of(member("f", body=b"x" * 100_000), symlink("l", "/etc"), directory("d"))
    blob = _blob(tar, compression)
    steps: list[int] = []
    expect = DiffID(Digest.of(tar))
    assert verify(io.BytesIO(blob), compression, expect=expect, progress=steps.append) == len(tar)
    assert sum(steps) == len(blob)
    with pytest.raises(DigestMismatch, match="layer 3: the layer's tar is"):
        verify(io.BytesIO(blob), compression, expect=DiffID(Digest.of(b"")), name="layer 3")


@pytest.mark.parametrize(
    "tar",
    [b"no tar".ljust(1024, b"."), tar_of(member("../f")), tar_of(member(".wh.")), tar_of(member("f"))[:300]],
    ids=["no-tar", "leaves-the-root", "hides-nothing", "truncated"],
)
def test_what_no_tree_can_be_made_of_is_not_verified(tar: bytes) -> None:
    with pytest.raises(InvalidLayer):
        verify(io.BytesIO(tar), Compression.NONE)


def test_a_verified_layer_has_the_limits_of_an_unpacked_one() -> None:
    with pytest.raises(InvalidLayer, match="bomb"):
        verify(io.BytesIO(gzip.compress(bytes(2_500_000))), Compression.GZIP, limits=NARROW)
    with pytest.raises(InvalidLayer, match="entries"):
        verify(io.BytesIO(tar_of(*(member("f") for _ in range(51)))), Compression.NONE, limits=NARROW)
    with pytest.raises(InvalidLayer, match="image-size"):
        verify(io.BytesIO(_sparse(1 << 40)), Compression.NONE, limits=NARROW)
