"""Tars that others have written."""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from ocibuild.layer.entry import Kind
from tests.unit.layer.helpers import MTIME, member, read_all, run, tar_of, tool, tree, unpack

if TYPE_CHECKING:
    from pathlib import Path

LONG = "/".join(["a-rather-long-directory-name"] * 8)


def _sample(path: Path, *, long: bool = True, names: bool = True) -> Path:
    """Make a tree with one of each."""
    path.mkdir()
    (path / "empty").write_bytes(b"")
    (path / "file").write_bytes(b"content" * 300)
    (path / "dir/below").mkdir(parents=True)
    (path / "dir/below/file").write_bytes(b"x" * 512)
    (path / "link").symlink_to("dir/below/file")
    os.link(path / "file", path / "dir/second-name")
    os.mkfifo(path / "fifo")
    if long:
        (path / LONG).mkdir(parents=True)
        (path / LONG / ("f" * 150)).write_bytes(b"long")
        (path / "long-link").symlink_to(LONG * 2)
    if names:
        (path / "naïve ☃").write_bytes(b"unicode")
        (path / os.fsdecode(b"raw\xff")).write_bytes(b"bytes")
    (path / "file").chmod(0o6751)
    (path / "dir").chmod(0o1777)
    for found, directories, files in os.walk(path, topdown=False):
        for name in (*directories, *files):
            os.utime(os.path.join(found, name), (MTIME, MTIME), follow_symlinks=False)
    return path


@pytest.mark.parametrize("form", ["gnu", "posix", "oldgnu"])
def test_gnu_tar_is_read(tmp_path: Path, form: str) -> None:
    sample = _sample(tmp_path / "sample")
    tar = run(tool("tar"), f"--format={form}", "-C", str(sample), "-c", ".")
    unpack(tar, tmp_path / "root")
    assert tree(tmp_path / "root") == tree(sample)


@pytest.mark.parametrize("form", ["ustar", "v7"])
def test_gnu_tar_is_read_in_old_formats(tmp_path: Path, form: str) -> None:
    sample = _sample(tmp_path / "sample", long=False)
    if form == "v7":
        (sample / "fifo").unlink()
    tar = run(tool("tar"), f"--format={form}", "-C", str(sample), "-c", ".")
    unpack(tar, tmp_path / "root")
    assert tree(tmp_path / "root") == tree(sample)


@pytest.mark.parametrize("form", ["pax", "ustar", "gnutar", "v7"])
def test_bsdtar_is_read(tmp_path: Path, form: str) -> None:
    sample = _sample(tmp_path / "sample", long=form in ("pax", "gnutar"), names=form != "pax")
    if form == "v7":
        (sample / "fifo").unlink()
    tar = run(tool("bsdtar"), f"--format={form}", "-C", str(sample), "-cf", "-", ".", env={"LC_ALL": "C.UTF-8"})
    unpack(tar, tmp_path / "root")
    assert tree(tmp_path / "root") == tree(sample)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_the_standard_library_is_read(tmp_path: Path, form: int) -> None:
    import io

    sample = _sample(tmp_path / "sample", long=form != tarfile.USTAR_FORMAT)
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as archive:
        archive.add(sample, ".")
    unpack(output.getvalue(), tmp_path / "root")
    assert tree(tmp_path / "root") == tree(sample)


@pytest.mark.parametrize("writer", ["tar", "bsdtar"])
def test_extended_attributes_are_read(tmp_path: Path, writer: str) -> None:
    sample = _sample(tmp_path / "sample", names=False)
    os.setxattr(sample / "file", "user.text", b"value")
    os.setxattr(sample / "file", "user.binary", b"\0\n=\xff" * 40)
    os.setxattr(sample / "dir", "user.on.directory", b"")
    options = ["--xattrs"] if writer == "bsdtar" else ["--xattrs", "--format=posix"]
    tar = run(tool(writer), *options, "-C", str(sample), "-cf", "-", ".")
    unpack(tar, tmp_path / "root")
    assert os.getxattr(tmp_path / "root/file", "user.text") == b"value"
    assert os.getxattr(tmp_path / "root/file", "user.binary") == b"\0\n=\xff" * 40


_SPARSE_TABLE: list[list[tuple[int, bytes]]] = [
    [(0, b"start"), (1 << 20, b"middle"), (5 << 20, b"end")],
    [(1 << 20, b"x" * 70_000)],
    [(number << 16, b"piece") for number in range(60)],
]


@pytest.mark.parametrize("pieces", _SPARSE_TABLE, ids=["three", "one", "sixty"])
@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"],
        ["--format=posix", "--sparse-version=0.0"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--sparse-version=1.0"],
    ],
    ids=["old", "0.0", "0.1", "1.0"],
)
def test_sparse_files_are_read_and_stay_sparse(
    tmp_path: Path, options: list[str], pieces: list[tuple[int, bytes]]
) -> None:
    (tmp_path / "sample").mkdir()
    path = tmp_path / "sample/sparse"
    with path.open("wb") as file:
        for offset, piece in pieces:
            file.seek(offset)
            file.write(piece)
        file.truncate(8 << 20)
    (tmp_path / "sample/sparse-and-empty").write_bytes(b"")
    os.truncate(tmp_path / "sample/sparse-and-empty", 3 << 20)
    (tmp_path / "sample/z").write_text("after")
    tar = run(tool("tar"), "-S", *options, "-C", str(tmp_path / "sample"), "-c", "sparse", "sparse-and-empty", "z")
    assert len(tar) < 6 << 20
    unpack(tar, tmp_path / "root")
    for name in ("sparse", "sparse-and-empty", "z"):
        assert (tmp_path / "root" / name).read_bytes() == (tmp_path / "sample" / name).read_bytes()
    assert (tmp_path / "root/sparse").stat().st_blocks * 512 < 6 << 20
    assert {entry.name: body for entry, body in read_all(tar)}["sparse"] == path.read_bytes()


def test_global_records_count_until_an_entry_has_its_own() -> None:
    import io

    output = io.BytesIO()
    with tarfile.open(
        fileobj=output, mode="w", pax_headers={"uid": "7", "comment": "of git", "SCHILY.xattr.user.a": "no"}
    ) as archive:
        archive.addfile(member("a")[0])
        archive.addfile(member("b", pax_headers={"uid": "8"})[0])
        archive.addfile(member("c")[0])
    assert [(e.name, e.uid) for e, _ in read_all(output.getvalue())] == [("a", 7), ("b", 8), ("c", 7)]


@pytest.mark.parametrize(
    ("mtime", "nanoseconds"),
    [
        ("1.5", 1_500_000_000),
        ("0.000000001", 1),
        ("-1.25", -1_250_000_000),
        ("-0.0000000001", -1),
        ("12", 12 * 10**9),
        ("7.", 7 * 10**9),
    ],
)
def test_times_are_exact(mtime: str, nanoseconds: int) -> None:
    [(entry, _)] = read_all(tar_of(member("f", pax_headers={"mtime": mtime})))
    assert entry.mtime_ns == nanoseconds


def test_large_numbers_of_gnu_are_read() -> None:
    info, _ = member("f", uid=3_000_000_000, gid=2_500_000, mtime=-5)
    [(entry, _)] = read_all(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert (entry.uid, entry.gid, entry.mtime_ns) == (3_000_000_000, 2_500_000, -5 * 10**9)


def test_signed_checksums_of_old_tars_are_accepted() -> None:
    header = bytearray(member("é")[0].tobuf(tarfile.USTAR_FORMAT, encoding="latin-1"))
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(byte - 256 if byte > 127 else byte for byte in header)
    assert len(read_all(bytes(header) + bytes(1024))) == 1


def test_a_directory_of_v7_is_known_by_its_slash() -> None:
    header = bytearray(member("d/")[0].tobuf(tarfile.USTAR_FORMAT))
    header[156:157] = b"\0"
    header[257:265] = bytes(8)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    [(entry, _)] = read_all(bytes(header) + bytes(1024))
    assert (entry.name, entry.kind) == ("d", Kind.DIRECTORY)


@pytest.mark.parametrize("tail", [b"", bytes(512), bytes(1024), bytes(20480), bytes(1024) + b"garbage"])
def test_the_end_is_two_blocks_of_zeros_or_of_the_stream(tail: bytes) -> None:
    tar = tar_of(member("f", body=b"x"))[:1024]
    assert [entry.name for entry, _ in read_all(tar + tail)] == ["f"]


def test_a_body_that_is_not_read_is_passed_over() -> None:
    import io

    from ocibuild.layer.reader import TarReader

    tar = tar_of(member("a", body=b"x" * 3_000_000), member("b", body=b"y" * 700), member("c"))
    reader = TarReader(io.BytesIO(tar))
    names = []
    for entry in reader:
        names.append(entry.name)
        next(iter(reader.body()), None)
    assert names == ["a", "b", "c"]
