"""eStargz as its specification has it: each part of a file found by the table, and the whole an ordinary layer."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
import zlib
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from ocibuild.errors import InvalidLayer
from ocibuild.layer.entry import Entry, Kind
from ocibuild.layer.estargz import is_estargz, pack_estargz
from ocibuild.layer.reader import Pieces, TarReader
from ocibuild.layer.retime import entries_of

if TYPE_CHECKING:
    from collections.abc import Iterable

PART = 4 << 20
_NOISE = Random(7).randbytes(2 * PART + 1000)
FILES = {"d/exact": _NOISE[:PART], "d/large": _NOISE, "d/one": b"1", "empty": b"", "text": b"some text\n" * 1000}
OTHERS = [
    Entry("d", Kind.DIRECTORY, mode=0o2755, uid=3, gid=70_000),
    Entry("d/hard", Kind.HARDLINK, linkname="d/one"),
    Entry("soft", Kind.SYMLINK, mode=0o777, linkname="/d/one"),
    Entry("null", Kind.CHARACTER, device=(1, 3)),
    Entry("disk", Kind.BLOCK, device=(8, 300)),
    Entry("fifo", Kind.FIFO, mtime_ns=1_600_000_000_999_999_999),
    Entry("far", Kind.FIFO, mtime_ns=10**21),
    Entry("before", Kind.FIFO, mtime_ns=-(10**9)),
    Entry("n\udcff\u00fc", Kind.FIFO, xattrs={"user.any": b"\xff\0", "user.b": b""}),
]


def _entries() -> Iterable[tuple[Entry, Iterable[bytes]]]:
    for entry in OTHERS[:1]:
        yield entry, ()
    for name, content in FILES.items():
        pieces = [content[at : at + 100_000] for at in range(0, len(content), 100_000)]
        yield Entry(name, Kind.FILE, mode=0o4711, size=len(content), mtime_ns=5 * 10**9), pieces
    for entry in OTHERS[1:]:
        yield entry, ()


def _pack(level: int | None = None, threads: int = 2) -> tuple[bytes, Any]:
    written = io.BytesIO()
    packed = pack_estargz(_entries(), written.write, level=level, threads=threads)
    return written.getvalue(), packed


def _member(blob: bytes, offset: int) -> bytes:
    """Return what the gzip member at an offset holds."""
    return zlib.decompressobj(31).decompress(blob[offset:])


def _table(blob: bytes) -> tuple[bytes, int]:
    footer = blob[-51:]
    assert footer[:16] == b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + b"\x1a\0SG\x16\0"
    assert footer[32:38] == b"STARGZ"
    assert gzip.decompress(footer) == b""
    offset = int(footer[16:32], 16)
    with tarfile.open(fileobj=io.BytesIO(_member(blob, offset))) as tar:
        (member,) = tar.getmembers()
        assert member.name == "stargz.index.json"
        file = tar.extractfile(member)
        assert file is not None
        return file.read(), offset


@pytest.mark.parametrize("level", [None, 0, 9])
def test_each_file_is_found_by_the_table(level: int | None) -> None:
    blob, packed = _pack(level)
    table, end = _table(blob)
    assert packed.annotations == {
        "containerd.io/snapshot/stargz/toc.digest": f"sha256:{hashlib.sha256(table).hexdigest()}",
        "io.containers.estargz.uncompressed-size": str(len(gzip.decompress(blob))),
    }
    document = json.loads(table)
    assert document["version"] == 1
    found: dict[str, bytes] = {}
    offsets = [row["offset"] for row in document["entries"] if "offset" in row]
    assert offsets == sorted(set(offsets))
    assert max(offsets) < end
    for row in document["entries"]:
        if "offset" in row:
            size = row.get("chunkSize") or (
                PART if row.get("size", 0) > PART else len(FILES.get(row["name"], b"1")) - row.get("chunkOffset", 0)
            )
            part = _member(blob, row["offset"])[:size]
            assert row["chunkDigest"] == f"sha256:{hashlib.sha256(part).hexdigest()}"
            assert row.get("chunkOffset", 0) == len(found.get(row["name"], b""))
            found[row["name"]] = found.get(row["name"], b"") + part
    assert found == {name: content for name, content in FILES.items() if content} | {".no.prefetch.landmark": b"\x0f"}
    whole = {row["name"]: row["digest"] for row in document["entries"] if "digest" in row}
    assert whole == {name: f"sha256:{hashlib.sha256(content).hexdigest()}" for name, content in found.items()}
    large = [row for row in document["entries"] if row["name"] == "d/large"]
    assert [row["type"] for row in large] == ["reg", "chunk", "chunk"]
    assert [row.get("chunkSize", 0) for row in large] == [PART, PART, 0]  # 0 is the last's
    assert large[0]["size"] == len(_NOISE)


def test_the_table_says_what_the_tar_says() -> None:
    blob, packed = _pack()
    rows = {row["name"]: row for row in json.loads(_table(blob)[0])["entries"] if row["type"] != "chunk"}
    plain = gzip.decompress(blob)
    assert packed.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"
    reader = TarReader(Pieces(iter([plain])))
    read = {entry.name + "/" * (entry.kind is Kind.DIRECTORY): entry for entry in reader}
    assert list(read) == [*rows, "stargz.index.json"]
    for name, row in rows.items():
        entry = read[name]
        assert (row["mode"], row["uid"], row["gid"]) == (entry.mode, entry.uid, entry.gid)
        assert row.get("linkName", "") == entry.linkname
        assert row.get("size", 0) == entry.size
        assert (row.get("devMajor", 0), row.get("devMinor", 0)) == entry.device
        assert {key: base64.b64decode(value) for key, value in row.get("xattrs", {}).items()} == entry.xattrs
    assert {name: row["type"] for name, row in rows.items() if name not in FILES} == {
        ".no.prefetch.landmark": "reg", "d/": "dir", "d/hard": "hardlink", "soft": "symlink", "null": "char",
        "disk": "block", "fifo": "fifo", "far": "fifo", "before": "fifo", "n\udcff\u00fc": "fifo",
    }  # fmt: skip
    assert rows["fifo"]["modtime"] == "2020-09-13T12:26:40Z"
    assert rows["before"]["modtime"] == "1969-12-31T23:59:59Z"
    assert "modtime" not in rows["far"]


def test_the_bytes_are_the_same_whatever_the_number_of_threads() -> None:
    assert len({_pack(threads=threads)[0] for threads in (1, 2, 3, 4)}) == 1


def test_made_of_one_it_is_the_same_once_more() -> None:
    first, packed = _pack()
    again = io.BytesIO()
    assert pack_estargz(entries_of(iter([gzip.decompress(first)])), again.write) == packed
    assert again.getvalue() == first


def test_one_is_told_by_its_end() -> None:
    blob, _ = _pack()
    assert is_estargz(io.BytesIO(blob))
    for other in (b"", blob[-50:], blob[:-1], gzip.compress(bytes(100)), blob + gzip.compress(b"")):
        assert not is_estargz(io.BytesIO(other))


def test_what_another_was_prefetched_by_is_left_out() -> None:
    written = io.BytesIO()
    marks = (".prefetch.landmark", ".no.prefetch.landmark", "stargz.index.json", "kept")
    pack_estargz([(Entry(name, Kind.FILE), ()) for name in marks], written.write)
    names = [row["name"] for row in json.loads(_table(written.getvalue())[0])["entries"]]
    assert names == [".no.prefetch.landmark", "kept"]


def test_a_body_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidLayer, match="its size changed"):
        pack_estargz([(Entry("a", Kind.FILE, size=3), [b"12"])], lambda _: None)
