from __future__ import annotations

import gzip
import io
import os
import tarfile
import threading
from typing import TYPE_CHECKING

import pytest
import zstandard

from ocibuild.errors import DigestMismatch, InvalidLayer
from ocibuild.fs import Root
from ocibuild.layer.apply import apply
from ocibuild.layer.owners import RecordedOwners
from ocibuild.oci import Compression, DiffID, Digest
from tests.unit.layer.helpers import (
    MTIME,
    OWNERS,
    directory,
    hardlink,
    member,
    names,
    needs_root,
    symlink,
    tar_of,
    tree,
    unpack,
)

if TYPE_CHECKING:
    from pathlib import Path

Members = list[tuple[tarfile.TarInfo, bytes]]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([member(".wh.a")], {"a": "w"}),
        ([member("d/.wh.a")], {"d": "d", "d/a": "w"}),
        ([member("d/.wh..wh..opq")], {"d": "o"}),
        ([directory("d"), member("d/.wh..wh..opq"), member("d/f")], {"d": "o", "d/f": "f "}),
        ([member("d/f"), member("d/.wh..wh..opq")], {"d": "o", "d/f": "f "}),
        ([member(".wh.a"), member("a", body=b"x")], {"a": "f x"}),
        ([member("a", body=b"x"), member(".wh.a")], {"a": "f x"}),
        ([member(".wh.a"), symlink("a", "b")], {"a": "l b"}),
        ([member(".wh.a"), directory("a")], {"a": "o"}),
        ([directory("a"), member(".wh.a")], {"a": "o"}),
        ([member(".wh.a"), member("a/b")], {"a": "o", "a/b": "f "}),
        ([member("a/b"), member(".wh.a")], {"a": "o", "a/b": "f "}),
        ([member(".wh.a"), member("a/b/c"), directory("a")], {"a": "o", "a/b": "d", "a/b/c": "f "}),
        ([member(".wh.a"), member("a/.wh..wh..opq")], {"a": "o"}),
        ([member(".wh.a"), member("a/.wh.b")], {"a": "o", "a/b": "w"}),
        ([member(".wh.a"), member(".wh.a")], {"a": "w"}),
        ([member("f"), member(".wh.a"), hardlink("a", "f")], {"a": "f ", "f": "f "}),
        ([directory("d"), directory("d/.wh.a")], {"d": "d", "d/a": "w"}),
    ],
)
def test_whiteouts_hide_only_what_is_below_in_any_order(
    tmp_path: Path, members: Members, expected: dict[str, str]
) -> None:
    unpack(tar_of(*members), tmp_path / "root")
    assert names(tmp_path / "root") == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([member("f", body=b"1"), member("f", body=b"2")], {"f": "f 2"}),
        ([directory("d"), member("d/f"), directory("d")], {"d": "d", "d/f": "f "}),
        ([directory("d"), member("d/f"), member("d", body=b"x")], {"d": "f x"}),
        ([member("d", body=b"x"), directory("d"), member("d/f")], {"d": "d", "d/f": "f "}),
        ([symlink("l", "a"), symlink("l", "b")], {"l": "l b"}),
        ([member("f", body=b"1"), hardlink("f", "f")], {"f": "f 1"}),
        (
            [member("f", body=b"1"), hardlink("g", "f"), hardlink("g", "f"), member("f", body=b"2")],
            {"f": "f 2", "g": "f 1"},
        ),
        ([member("f", body=b"1"), member("g"), hardlink("g", "f")], {"f": "f 1", "g": "f 1"}),
        ([directory("g"), member("g/x"), member("f", body=b"1"), hardlink("g", "f")], {"f": "f 1", "g": "f 1"}),
    ],
)
def test_the_last_entry_of_a_name_counts(tmp_path: Path, members: Members, expected: dict[str, str]) -> None:
    unpack(tar_of(*members), tmp_path / "root")
    assert names(tmp_path / "root") == expected


def test_what_the_layer_leaves_open_is_reported(tmp_path: Path) -> None:
    applied = unpack(
        tar_of(member("a/b/f"), directory("a"), hardlink("h", "x/y"), hardlink("i", "x/y"), member("i")), tmp_path / "r"
    )
    assert applied.implied == (".", "a/b")
    assert applied.links == (("h", "x/y"),)
    assert unpack(tar_of(directory("."), member("f")), tmp_path / "s").implied == ()


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000], ids=oct)
def test_modes_and_times_are_those_of_the_entries(tmp_path: Path, umask: int) -> None:
    modes = [0o000, 0o400, 0o4755, 0o2755, 0o1777, 0o777, 0o644, 0o555]
    members = [directory(".", mode=0o711)]
    members += [member(f"f{mode:o}", mode=mode, mtime=mode) for mode in modes]
    for mode in modes:
        members += [directory(f"d{mode:o}", mode=mode, mtime=mode), member(f"d{mode:o}/f", mtime=1)]
    previous = os.umask(umask)
    try:
        unpack(tar_of(*members), tmp_path / "root")
    finally:
        os.umask(previous)
    for mode in modes:
        for letter in "fd":
            status = (tmp_path / f"root/{letter}{mode:o}").lstat()
            assert (status.st_mode & 0o7777, status.st_mtime) == (mode, mode)
            assert status.st_gid == os.getegid()
    assert ((tmp_path / "root").stat().st_mode & 0o7777, (tmp_path / "root").stat().st_mtime) == (0o711, MTIME)


def test_the_last_mode_and_time_of_a_directory_count(tmp_path: Path) -> None:
    unpack(tar_of(member("d/f"), directory("d", mode=0o777), directory("d", mode=0o711, mtime=9)), tmp_path / "root")
    status = (tmp_path / "root/d").stat()
    assert (status.st_mode & 0o7777, status.st_mtime) == (0o711, 9)


def test_nothing_is_inherited_from_the_directory_above(tmp_path: Path) -> None:
    tmp_path.chmod(0o2755)
    if os.geteuid() == 0:
        os.chown(tmp_path, 0, 12345)
    unpack(tar_of(directory("d"), member("d/f")), tmp_path / "root")
    for name in ("", "d", "d/f"):
        status = (tmp_path / "root" / name).stat()
        assert (status.st_mode & 0o2000, status.st_gid) == (0, os.getegid())


@needs_root
def test_owners_capabilities_and_devices_are_put_for_real(tmp_path: Path) -> None:
    capability = bytes.fromhex("0100000200200000000000000000000000000000")[:20]
    header = {"SCHILY.xattr.security.capability": capability.decode("latin-1")}
    tar = tar_of(
        directory(".", uid=3),
        directory("d", uid=1000, gid=1001),
        member("f", uid=1000, gid=1001, mode=0o4755, body=b"x", pax_headers=header),
        member("l", tarfile.SYMTYPE, linkname="f", uid=1000, gid=1001),
        member("c", tarfile.CHRTYPE, devmajor=1, devminor=3, uid=5, mode=0o666),
        member("b", tarfile.BLKTYPE, devmajor=7, devminor=300),
        member("p", tarfile.FIFOTYPE, uid=6, mode=0o622),
    )
    unpack(tar, tmp_path / "root")
    found = tree(tmp_path / "root")
    assert {name: (oct(value[0]), value[1], value[2]) for name, value in found.items()} == {  # type: ignore[arg-type]
        "d": ("0o40755", 1000, 1001),
        "f": ("0o104755", 1000, 1001),
        "l": ("0o120777", 1000, 1001),
        "c": ("0o20666", 5, 0),
        "b": ("0o60644", 0, 0),
        "p": ("0o10622", 6, 0),
    }
    assert (found["c"][4], found["b"][4]) == (os.makedev(1, 3), os.makedev(7, 300))
    assert found["f"][5] == {"security.capability": capability}
    assert (tmp_path / "root").stat().st_uid == 3


def test_owners_are_recorded_where_they_cannot_be_put(tmp_path: Path) -> None:
    tar = tar_of(
        directory("d", uid=1000, gid=1001, mode=0o2755),
        member("f", uid=7, gid=8, mode=0o4711),
        member("mine"),
        symlink("l", "f"),
        member("c", tarfile.CHRTYPE, devmajor=1, devminor=3, uid=5, mode=0o600),
        member("forged", pax_headers={"SCHILY.xattr.user.containers.override_stat": "0:0:0777:file"}),
    )
    (tmp_path / "root").mkdir()
    with Root.open(tmp_path / "root") as root:
        apply(io.BytesIO(tar), Compression.NONE, root, owners=RecordedOwners())
    records = {
        path.name: os.getxattr(path, "user.containers.override_stat")
        for path in (tmp_path / "root").iterdir()
        if not path.is_symlink() and os.listxattr(path)
    }
    assert records == {
        "d": b"1000:1001:02755:dir",
        "f": b"7:8:04711:file",
        "c": b"5:0:0600:char-1-3",
        "forged": b"0:0:0644:file",
    }
    assert (tmp_path / "root/f").stat().st_mode & 0o7777 == 0o4711
    assert all(path.lstat().st_uid == os.geteuid() for path in (tmp_path / "root").iterdir())


def _compressed(tar: bytes, compression: Compression) -> bytes:
    match compression:
        case Compression.GZIP:
            return gzip.compress(tar)
        case Compression.ZSTD:
            return zstandard.compress(tar)
        case _:
            return tar


@pytest.mark.parametrize("compression", Compression)
def test_the_diff_id_is_of_the_whole_plain_tar(tmp_path: Path, compression: Compression) -> None:
    tar = tar_of(member("f", body=b"x" * 5_000_000)) + b"something after the end" * 100_000
    steps: list[int] = []
    (tmp_path / "root").mkdir()
    with Root.open(tmp_path / "root") as root:
        blob = _compressed(tar, compression)
        expect = DiffID(Digest.of(tar))
        applied = apply(
            io.BytesIO(blob),
            compression,
            root,
            owners=OWNERS,
            expect=expect,
            progress=steps.append,
        )
    assert (applied.diff_id, applied.size, sum(steps)) == (expect, len(tar), len(blob))


def test_another_diff_id_than_promised_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    with Root.open(tmp_path / "root") as root, pytest.raises(DigestMismatch):
        apply(
            io.BytesIO(tar_of(member("f"))),
            Compression.NONE,
            root,
            owners=OWNERS,
            expect=DiffID(Digest.of(b"else")),
        )


class _Failing(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 3_000_000:
            raise OSError("the disk is gone")
        return super().read(size)


@pytest.mark.parametrize(
    ("blob", "error"),
    [
        (_Failing(tar_of(member("f", body=bytes(20_000_000)))), OSError),
        (io.BytesIO(tar_of(member("../f"), member("g", body=bytes(20_000_000)))), InvalidLayer),
        (io.BytesIO(tar_of(member("f", body=bytes(20_000_000)))[:9_000_000]), InvalidLayer),
    ],
    ids=["source", "entry", "truncated"],
)
def test_an_error_in_any_thread_surfaces_once_and_ends_them_all(
    tmp_path: Path, blob: io.BytesIO, error: type[Exception]
) -> None:
    before = threading.active_count()
    (tmp_path / "root").mkdir()
    with Root.open(tmp_path / "root") as root, pytest.raises(error):
        apply(blob, Compression.NONE, root, owners=OWNERS)
    assert threading.active_count() == before


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    unpack(tar_of(*(member(f"d{number}/e/f") for number in range(150))), tmp_path / "root")
    with pytest.raises(InvalidLayer):
        unpack(tar_of(member("d/f"), member("../x")), tmp_path / "root2")
    assert len(os.listdir("/proc/self/fd")) == before


def test_memory_does_not_grow_with_the_layer(tmp_path: Path) -> None:
    import tracemalloc

    blob = gzip.compress(tar_of(*(member(f"f{number}", body=bytes(8 << 20)) for number in range(12))), 1)
    (tmp_path / "root").mkdir()
    tracemalloc.start()
    try:
        with Root.open(tmp_path / "root") as root:
            apply(io.BytesIO(blob), Compression.GZIP, root, owners=OWNERS)
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


def test_an_empty_stream_is_an_empty_layer(tmp_path: Path) -> None:
    assert unpack(b"", tmp_path / "root").size == 0
    assert unpack(bytes(1024), tmp_path / "root2").implied == (".",)
