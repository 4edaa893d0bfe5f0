"""ADD of archives as BuildKit does it: what is expected here was tried against the BuildKit of docker 28."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zlib
from typing import TYPE_CHECKING

import pytest
import zstandard

from tests.unit.solver.test_copy import built, changes, kit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.unit.solver.bench import Bench

__all__ = ["kit"]

Member = tuple[str, str, int, int, int, str]
_TYPES = {"-": tarfile.REGTYPE, "d": tarfile.DIRTYPE, "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE, "p": tarfile.FIFOTYPE}
_USUAL: Sequence[Member] = (
    ("t", "d", 0o750, 5, 6, ""),
    ("t/f", "-", 0o4644, 7, 8, "hi"),
    ("t/l", "l", 0o777, 1, 2, "f"),
    ("u/v", "-", 0o600, 3, 4, "deep"),
    ("t/p", "p", 0o600, 3, 3, ""),
)
_UNPACKED = {
    "t": "d0750 5:6",
    "t/f": "-4644 7:8 hi",
    "t/l": "l 1:2 f",
    "t/p": "p0600 3:3",
    "u": "d0755 0:0",
    "u/v": "-0600 3:4 deep",
}


def tar(members: Sequence[Member] = _USUAL) -> bytes:
    """Return a tar; the last part of a member is its content or its link's target."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, kind, mode, uid, gid, text in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.uid, info.gid, info.mtime = _TYPES[kind], mode, uid, gid, 1_400_000_000
            content = text.encode() if kind == "-" else b""
            info.linkname = "" if kind == "-" else text
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def unpacked_in(folder: str) -> dict[str, str]:
    return {folder: "d0755 0:0", **{f"{folder}/{name}": line for name, line in _UNPACKED.items()}}


_COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}


@pytest.mark.parametrize("compress", _COMPRESSIONS.values(), ids=_COMPRESSIONS.keys())
def test_an_archive_is_known_by_its_content_and_unpacked(kit: Bench, compress: Callable[[bytes], bytes]) -> None:
    kit.write("some.bin", compress(tar()))
    assert changes(kit, "ADD some.bin /new") == unpacked_in("new")
    assert changes(kit, "ADD some.bin /") == _UNPACKED
    assert set(changes(kit, "COPY some.bin /new")) == {"new"}


def test_entries_keep_their_times(kit: Bench) -> None:
    kit.write("a.tar", tar())
    times = built(kit, "ADD a.tar /new/").times
    assert [times[f"new/{name}"] for name in ("t", "t/f", "t/l", "t/p")] == [1_400_000_000] * 4


def test_archives_and_files_go_together(kit: Bench) -> None:
    kit.write("a.tar", tar())
    assert changes(kit, "ADD a.tar one /new/") == {**unpacked_in("new"), "new/one": "-0644 0:0 one"}


def test_a_pipe_is_no_archive_and_waited_for_by_nobody(kit: Bench) -> None:
    kit.write("one", "one")
    os.mkfifo(kit.context / "pipe", 0o640)
    found = changes(kit, "ADD one pipe /new/")
    assert found == {"new": "d0755 0:0", "new/one": "-0644 0:0 one", "new/pipe": "p0640 0:0"}


def test_an_archive_inside_a_directory_is_only_copied(kit: Bench) -> None:
    kit.write("dir/a.tar", tar())
    assert set(changes(kit, "ADD dir /new")) == {"new", "new/a.tar"}


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "empty"),
        (bytes(10240), "no-entry"),
        (b"hello" * 500, "text"),
        (gzip.compress(b"hello" * 500), "gzip-of-text"),
        (gzip.compress(b""), "gzip-of-nothing"),
        (b"\x1f\x8b\x08 not gzip at all", "only-a-magic"),
        (b"BZh9 neither", "only-bzip2s"),
        (b"\xfd7zXZ\0 neither", "only-xzs"),
        (b"\x28\xb5\x2f\xfd neither", "only-zstds"),
        (tar()[:300], "half-a-header"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_only_looks_like_an_archive_is_copied(kit: Bench, content: bytes, name: str) -> None:
    kit.write("a.tar", content)
    assert set(changes(kit, f"ADD a.tar /{name}")) == {name}


_LONG = tar([("n", "-", 0o644, 0, 0, "".join(map(str, range(9000))))])


@pytest.mark.parametrize("compress", _COMPRESSIONS.values(), ids=_COMPRESSIONS.keys())
def test_an_archive_that_ends_too_early_is_refused(kit: Bench, compress: Callable[[bytes], bytes]) -> None:
    whole = compress(_LONG)
    kit.write("a.tar", whole[: max(1000, len(whole) * 2 // 3)])
    result = built(kit, "ADD a.tar /new/")
    if result.error:
        assert result.error.startswith(f"{kit.context}/Dockerfile:3: 'a.tar' cannot be unpacked: ")
    else:  # nothing at all came out of its only block, so it was no archive
        assert "new/a.tar" in result.tree


@pytest.mark.parametrize(
    ("members", "destination", "expected"),
    [
        # what is there stays, as long as no entry has its name
        ([("sub/n", "-", 0o644, 0, 0, "x")], "/d750", {"d750/sub/n": "-0644 0:0 x"}),
        ([("sub", "d", 0o777, 1, 2, "")], "/d750", {"d750/sub": "d0777 1:2"}),
        ([("keep", "-", 0o600, 9, 9, "new")], "/d750", {"d750/keep": "-0600 9:9 new"}),
        ([("./", "d", 0o700, 1, 2, ""), ("./n", "-", 0o644, 0, 0, "x")], "/d750", {"d750/n": "-0644 0:0 x"}),
        ([("./", "d", 0o700, 1, 2, ""), ("./n", "-", 0o644, 0, 0, "x")], "/new",
            {"new": "d0755 0:0", "new/n": "-0644 0:0 x"}),
        ([("todir/n", "-", 0o644, 0, 0, "x")], "/", {"d750/n": "-0644 0:0 x"}),
        ([("n", "-", 0o644, 0, 0, "x")], "/todir", {"d750/n": "-0644 0:0 x"}),
        ([("todir", "d", 0o755, 0, 0, ""), ("todir/n", "-", 0o644, 0, 0, "x")], "/",
            {"todir": "d0755 0:0", "todir/n": "-0644 0:0 x"}),
        ([("file", "d", 0o755, 0, 0, ""), ("file/n", "-", 0o644, 0, 0, "x")], "/",
            {"file": "d0755 0:0", "file/n": "-0644 0:0 x"}),
        ([("d750", "-", 0o644, 0, 0, "x")], "/",
            {"d750": "-0644 0:0 x", "d750/keep": "", "d750/sub": "", "d750/sub/old": ""}),
        ([("d750", "l", 0o777, 0, 0, "file")], "/",
            {"d750": "l 0:0 file", "d750/keep": "", "d750/sub": "", "d750/sub/old": ""}),
        # the last entry of a name counts, and no symlink leads out of the destination
        ([("a", "-", 0o644, 0, 0, "x"), ("a", "-", 0o600, 0, 0, "y")], "/", {"a": "-0600 0:0 y"}),
        ([("l", "l", 0o777, 0, 0, "/d750"), ("l/n", "-", 0o644, 0, 0, "x")], "/new",
            {"new": "d0755 0:0", "new/l": "l 0:0 /d750", "new/d750": "d0755 0:0", "new/d750/n": "-0644 0:0 x"}),
        ([("/abs", "-", 0o644, 0, 0, "x")], "/d750", {"d750/abs": "-0644 0:0 x"}),
        # hard links, to what the archive has or the image had
        ([("a", "-", 0o644, 0, 0, "x"), ("b", "h", 0o644, 0, 0, "a")], "/", {"a": "-0644 0:0 x", "b": "-0644 0:0 x"}),
        ([("b", "h", 0o644, 0, 0, "file")], "/", {"b": "-0600 0:0 old file"}),
        ([("file", "h", 0o644, 0, 0, "file")], "/", {}),
        # an archive is no layer
        ([(".wh.file", "-", 0o644, 0, 0, "")], "/", {".wh.file": "-0644 0:0 "}),
        ([("d750/.wh..wh..opq", "-", 0o644, 0, 0, "")], "/", {"d750/.wh..wh..opq": "-0644 0:0 "}),
    ],
)  # fmt: skip
def test_archive_gives(kit: Bench, members: Sequence[Member], destination: str, expected: dict[str, str]) -> None:
    kit.write("a.tar", tar(members))
    assert changes(kit, f"ADD a.tar {destination}") == expected


def test_chown_is_for_the_entries_and_the_destination(kit: Bench) -> None:
    kit.write("a.tar", tar())
    found = changes(kit, "ADD --chown=app:staff a.tar /new")
    assert found["new"] == "d0755 1000:50"
    assert found["new/t"] == "d0750 1000:50"
    assert found["new/t/f"] == "-4644 1000:50 hi"
    assert found["new/t/l"] == "l 1000:50 f"


def test_chmod_leaves_the_entries_alone(kit: Bench) -> None:
    kit.write("a.tar", tar())
    assert changes(kit, "ADD --chmod=700 a.tar /new") == unpacked_in("new")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("../evil", "-", 0o644, 0, 0, "x")], "'../evil' leaves the root directory"),
        ([("b", "h", 0o644, 0, 0, "missing")], "No such file or directory"),
        ([("file/n", "-", 0o644, 0, 0, "x")], "'file': Not a directory"),
    ],
    ids=["dotdot", "link-to-nothing", "below-a-file"],
)
def test_an_archive_that_makes_no_sense_is_refused(kit: Bench, members: Sequence[Member], message: str) -> None:
    kit.write("a.tar", tar(members))
    result = built(kit, "ADD a.tar /")
    assert result.error.startswith(f"{kit.context}/Dockerfile:3: 'a.tar' cannot be unpacked: ")
    assert message in result.error


def test_an_archive_over_a_file_is_refused(kit: Bench) -> None:
    kit.write("a.tar", tar())
    assert "/file in the image is not a directory" in built(kit, "ADD a.tar /file").error


def with_large_dictionary(xz: bytes) -> bytes:
    """Let the first block of ``xz`` ask for a dictionary of 1 GiB (xz file format, sections 3.1 and 5.3.1)."""
    end = 12 + (xz[12] + 1) * 4
    header = xz[12:16] + bytes([36]) + xz[17 : end - 4]
    return xz[:12] + header + zlib.crc32(header).to_bytes(4, "little") + xz[end:]


def test_an_archive_cannot_take_all_memory(kit: Bench) -> None:
    kit.write("some.bin", with_large_dictionary(lzma.compress(tar())))
    assert "xz needs more than 256 MiB of memory" in built(kit, "ADD some.bin /new").error


def test_an_archive_may_be_of_several_xz_streams(kit: Bench) -> None:
    whole = tar()
    kit.write("some.bin", lzma.compress(whole[:700]) + bytes(4) + lzma.compress(whole[700:]) + b"garbage")
    assert changes(kit, "ADD some.bin /new") == unpacked_in("new")
