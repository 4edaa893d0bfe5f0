"""What a stranger may put into a layer: it lands inside the root, or the layer is refused."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import tarfile
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import InvalidLayer
from ocibuild.layer.pax import MAX_PAX, format_records
from ocibuild.layer.reader import TarReader
from tests.unit.layer.helpers import directory, hardlink, member, names, symlink, tar_of, unpack

if TYPE_CHECKING:
    from pathlib import Path

FILE = member("f", body=b"x")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory with things that no layer may touch, and a root to unpack into below it."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("untouched")
    return tmp_path


def _untouched(outside: Path) -> None:
    assert sorted(os.listdir(outside)) == ["etc", "root", "secret"]
    assert os.listdir(outside / "etc") == ["passwd"]
    assert (outside / "etc/passwd").read_text() == "untouched"
    assert (outside / "secret").stat().st_nlink == 1


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([member("/etc/passwd", body=b"x")], {"etc": "d", "etc/passwd": "f x"}),
        ([member("//../etc/passwd", body=b"x")], {"etc": "d", "etc/passwd": "f x"}),
        ([member("./a/./../f", body=b"x")], {"f": "f x"}),
        ([symlink("l", ".."), member("l/secret", body=b"x")], {"l": "l ..", "secret": "f x"}),
        ([symlink("l", "/../.."), member("l/f", body=b"x")], {"l": "l /../..", "f": "f x"}),
        (
            [symlink("l", "../etc"), member("l/passwd", body=b"x")],
            {"l": "l ../etc", "etc": "d", "etc/passwd": "f x"},
        ),
        (
            [symlink("a", "b"), symlink("b", "../.."), member("a/f", body=b"x")],
            {"a": "l b", "b": "l ../..", "f": "f x"},
        ),
        ([symlink("f", "../secret"), member("f", body=b"x")], {"f": "f x"}),
        ([symlink("f", "../etc"), directory("f")], {"f": "d"}),
        ([symlink("l", "../etc"), member("l/.wh.passwd")], {"l": "l ../etc", "etc": "d", "etc/passwd": "w"}),
        ([symlink("l", "../etc"), member("l/.wh..wh..opq")], {"l": "l ../etc", "etc": "o"}),
        ([symlink("l", "../secret"), hardlink("f", "l")], {"l": "l ../secret", "f": "l ../secret"}),
        ([directory("d"), member("d/f"), symlink("d", "/"), member("d/g", body=b"x")], {"d": "l /", "g": "f x"}),
        ([directory("d"), directory("d/e"), member("d", body=b"x")], {"d": "f x"}),
        ([directory("."), directory("/"), directory("./")], {}),
        ([directory("a/.."), member("f", body=b"x")], {"f": "f x"}),
    ],
    ids=[
        "absolute",
        "above-the-root",
        "dots",
        "link-to-parent",
        "absolute-link-above",
        "link-to-sibling-of-root",
        "link-to-link",
        "file-over-link",
        "directory-over-link",
        "whiteout-through-link",
        "opaque-through-link",
        "hard-link-to-link",
        "link-over-directory",
        "file-over-tree",
        "root-entries",
        "root-in-disguise",
    ],
)
def test_an_entry_lands_inside_the_root(
    outside: Path, members: list[tuple[tarfile.TarInfo, bytes]], expected: dict[str, str]
) -> None:
    unpack(tar_of(*members), outside / "root")
    assert names(outside / "root") == expected
    _untouched(outside)


@pytest.mark.parametrize(
    "members",
    [
        [member("../f")],
        [member("a/../../f")],
        [member("..")],
        [member(".")],
        [symlink("/", "/etc")],
        [symlink("./", "/etc")],
        [hardlink(".", "etc")],
        [FILE, hardlink("g", "../secret")],
        [directory("d"), hardlink("g", "d")],
        [directory("d"), hardlink("g", ".")],
        [member(".wh.g"), hardlink("f", "g")],
        [FILE, member("f/g")],
        [FILE, directory("f/g/h")],
        [FILE, symlink("l", "f"), member("l/g")],
        [symlink("l", "l"), member("l/f")],
        [symlink("a", "b"), symlink("b", "a"), directory("a/d")],
        [symlink("l", "")],
        [hardlink("l", "")],
        [member("x" * 256)],
        [member("a/" * 3000 + "f")],
        [symlink("l", "x" * 5000)],
        [member("n", pax_headers={"path": "a\0b"})],
        [member("n", tarfile.SYMTYPE, pax_headers={"linkpath": "a\0b"})],
        [member("f", uid=2**32 - 1)],
        [member("f", gid=2**40)],
        [member("c", tarfile.CHRTYPE, devmajor=0, devminor=0)],
        [member("f", b"M")],
        [member("f", b"V")],
        [member("f", b"Z")],
        [member("f", pax_headers={"SCHILY.xattr.user.overlay.opaque": "y"})],
        [member("f", pax_headers={"SCHILY.xattr.trusted.overlay.redirect": "/../.."})],
        [directory("d", pax_headers={"SCHILY.xattr.user.overlay.redirect": "/etc"})],
        [member("f", pax_headers={"SCHILY.xattr.system.nonsense": "x"})],
        [member("f", pax_headers={"SCHILY.xattr.nonsense": "x"})],
        [member(".wh.")],
        [member(".wh..")],
        [member(".wh...")],
        [member("a/.wh.")],
        [member(".wh../x")],
        [member(".wh.a/x")],
        [member(".wh.a/.wh.b")],
        [member(".wh..wh.nonsense")],
        [member(".wh..wh..opq/x")],
        [member("../.wh.f")],
    ],
)
def test_an_entry_is_refused(outside: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with pytest.raises(InvalidLayer):
        unpack(tar_of(*members), outside / "root")
    _untouched(outside)


def test_what_aufs_kept_for_itself_is_not_part_of_the_tree(tmp_path: Path) -> None:
    unpack(tar_of(directory(".wh..wh.plnk"), member(".wh..wh.plnk/1.2"), member(".wh..wh.aufs"), FILE), tmp_path / "r")
    assert names(tmp_path / "r") == {"f": "f x"}


def _with_header(at: int, value: bytes, *, keep_checksum: bool = False) -> bytes:
    """Return a tar of one file whose header has ``value`` at a place."""
    tar = bytearray(tar_of(FILE, form=tarfile.USTAR_FORMAT))
    tar[at : at + len(value)] = value
    if not keep_checksum:
        tar[148:156] = b" " * 8
        tar[148:156] = b"%06o\0 " % sum(tar[:512])
    return bytes(tar)


def _with_pax(content: bytes, kind: bytes = b"x") -> bytes:
    """Return a tar of one file with an extended header that holds ``content``."""
    header, _ = member("pax", kind, size=len(content))
    block = header.tobuf(tarfile.USTAR_FORMAT)
    return block + content.ljust(-(-len(content) // 512) * 512, b"\0") + tar_of(FILE, form=tarfile.USTAR_FORMAT)


GOOD = tar_of(FILE, form=tarfile.USTAR_FORMAT)


@pytest.mark.parametrize(
    "tar",
    [
        pytest.param(b"this is not a tar at all".ljust(1024, b"."), id="no-tar"),
        pytest.param(_with_header(0, b"g", keep_checksum=True), id="wrong-checksum"),
        pytest.param(_with_header(124, b"-0000000001\0"), id="negative-size"),
        pytest.param(_with_header(124, b"\xff" * 12), id="negative-base-256-size"),
        pytest.param(_with_header(124, b"\x80" + b"\xff" * 11), id="huge-size"),
        pytest.param(_with_header(124, b"\xc0" + b"\0" * 11), id="base-256-of-neither-sign"),
        pytest.param(_with_header(124, b"77777777777\0"), id="size-beyond-the-end"),
        pytest.param(_with_header(124, b"0000000_001\0"), id="underscore-in-size"),
        pytest.param(_with_header(124, b"0o000000001\0"), id="python-number"),
        pytest.param(_with_header(124, b"00000000009\0"), id="not-octal"),
        pytest.param(_with_header(100, b"0000+44\0"), id="sign-in-mode"),
        pytest.param(_with_header(108, b"\xff\xff\xff\xff\xff\xff\xff\xff"), id="negative-uid"),
        pytest.param(GOOD[:700], id="ends-in-a-file"),
        pytest.param(GOOD[:512], id="ends-before-a-file"),
        pytest.param(GOOD[:300], id="ends-in-a-header"),
        pytest.param(GOOD[:1024] + bytes(512) + GOOD, id="goes-on-after-one-block-of-zeros"),
        pytest.param(_with_pax(b"x" * (MAX_PAX + 1)), id="giant-pax"),
        pytest.param(_with_pax(b"x" * (MAX_PAX + 1), b"g"), id="giant-global-pax"),
        pytest.param(_with_pax(b"x" * (MAX_PAX + 1), b"L"), id="giant-gnu-name"),
        pytest.param(_with_pax(b"a/" * 4000, b"L"), id="gnu-name-too-long"),
        pytest.param(_with_pax(b"5 a=b\n"), id="pax-length-too-short"),
        pytest.param(_with_pax(b"9999999 a=b\n"), id="pax-length-too-long"),
        pytest.param(_with_pax(b"0 a=b\n"), id="pax-length-zero"),
        pytest.param(_with_pax(b"-6 a=b\n"), id="pax-length-negative"),
        pytest.param(_with_pax(b"6 abc\n"), id="pax-without-equals"),
        pytest.param(_with_pax(b"5 =b\n"), id="pax-without-key"),
        pytest.param(_with_pax(b"6 a=bc"), id="pax-without-newline"),
        pytest.param(_with_pax(b"nonsense"), id="pax-nonsense"),
        pytest.param(_with_pax(format_records({"size": b"-1"})), id="pax-negative-size"),
        pytest.param(_with_pax(format_records({"size": b"9" * 40})), id="pax-huge-size"),
        pytest.param(_with_pax(format_records({"size": b"1e3"})), id="pax-size-in-floating-point"),
        pytest.param(_with_pax(format_records({"uid": b"0x0"})), id="pax-uid-in-hex"),
        pytest.param(_with_pax(format_records({"mtime": b"nan"})), id="pax-time-is-no-number"),
        pytest.param(_with_pax(format_records({"mtime": b"9" * 30})), id="pax-time-huge"),
        pytest.param(_with_pax(format_records({"path": b"../f"})), id="pax-path-leaves"),
        pytest.param(_with_pax(format_records({"path": b"../f"}), b"g"), id="global-path-leaves"),
        pytest.param(_with_pax(format_records({"LIBARCHIVE.xattr.user.a": b"!"})), id="xattr-not-base64"),
        pytest.param(_with_pax(b"")[:512], id="ends-after-pax"),
        pytest.param(_with_pax(format_records({"GNU.sparse.map": b"0,1,2", "GNU.sparse.size": b"9"})), id="map-odd"),
        pytest.param(_with_pax(format_records({"GNU.sparse.map": b"0,2", "GNU.sparse.size": b"9"})), id="map-too-long"),
        pytest.param(_with_pax(format_records({"GNU.sparse.map": b"9,1", "GNU.sparse.size": b"9"})), id="map-leaves"),
        pytest.param(_with_pax(format_records({"GNU.sparse.map": b"0,1"})), id="map-without-size"),
        pytest.param(
            _with_pax(
                format_records({"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0", "GNU.sparse.realsize": b"1"})
            ),
            id="map-missing-in-body",
        ),
    ],
)
def test_a_tar_is_refused(tmp_path: Path, tar: bytes) -> None:
    with pytest.raises(InvalidLayer):
        unpack(tar, tmp_path / "root")


@pytest.mark.parametrize("step", [1, 7, 511, 512, 513])
def test_a_stream_in_any_pieces_gives_the_same_entries(step: int) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(step)

    members = [directory("d"), member("d/" + "n" * 200, body=b"x" * 5000), symlink("l", "d"), member("e")]
    tar = tar_of(*members)
    reader = TarReader(Slow(tar))
    found = [(entry.name, b"".join(reader.body())) for entry in reader]
    assert found == [("d", b""), ("d/" + "n" * 200, b"x" * 5000), ("l", b""), ("e", b"")]
    assert [entry.name for entry in TarReader(Slow(tar))] == [name for name, _ in found]


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 5000])
def test_every_truncation_ends_or_is_refused(size: int) -> None:
    tar = tar_of(directory("d"), member("f", body=b"x" * size, pax_headers={"comment": "c"}))
    whole = [entry.name for entry in TarReader(io.BytesIO(tar))]
    for length in range(0, len(tar), 97):
        try:
            found = [entry.name for entry in TarReader(io.BytesIO(tar[:length]))]
        except InvalidLayer:
            continue
        assert found == whole[: len(found)]


@pytest.mark.parametrize("seed", range(300))
def test_damage_gives_entries_or_a_refusal_and_nothing_else(tmp_path: Path, seed: int) -> None:
    import random

    chance = random.Random(seed)
    tar = bytearray(
        tar_of(
            directory("d"),
            member("d/" + "n" * 150, body=b"body", pax_headers={"SCHILY.xattr.user.a": "b", "mtime": "1.5"}),
            symlink("d/l", "../.."),
            hardlink("d/h", "d/" + "n" * 150),
            member("d/l/.wh.x"),
        )
    )
    for _ in range(chance.randint(1, 6)):
        tar[chance.randrange(len(tar))] = chance.choice([0, 0x20, 0x2E, 0x2F, 0x37, 0x80, 0xFF, chance.randrange(256)])
    for at in range(0, len(tar), 512):
        block = tar[at : at + 512]
        if block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            struct.pack_into("8s", tar, at + 148, b"%06o\0 " % sum(block))
    (tmp_path / "in").mkdir()
    with contextlib.suppress(InvalidLayer):
        unpack(bytes(tar), tmp_path / "in/root")
    assert os.listdir(tmp_path) == ["in"]
    assert os.listdir(tmp_path / "in") == ["root"]
