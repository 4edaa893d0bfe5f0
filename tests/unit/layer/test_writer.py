from __future__ import annotations

import dataclasses
import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocibuild.errors import InvalidLayer
from ocibuild.layer.entry import Entry, Kind, clean_name
from ocibuild.layer.writer import TarWriter
from tests.unit.layer.helpers import needs_root, read_all, run, tool, tree, unpack, write_all

if TYPE_CHECKING:
    from pathlib import Path

_COMPONENTS = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60).filter(
    lambda text: text not in (".", "..")
)
_NAMES = st.lists(_COMPONENTS, min_size=1, max_size=6).map("/".join)
_BODIES = st.binary(max_size=1500)
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may be busy with something else."""


@st.composite
def _entries(draw: st.DrawFn) -> tuple[Entry, bytes]:
    kind = draw(st.sampled_from(Kind))
    body = draw(_BODIES) if kind is Kind.FILE else b""
    is_device = kind in (Kind.CHARACTER, Kind.BLOCK)
    entry = Entry(
        draw(_NAMES),
        kind,
        mode=draw(st.integers(0, 0o7777)),
        uid=draw(st.integers(0, 2**32 - 2)),
        gid=draw(st.integers(0, 2**32 - 2)),
        size=len(body),
        mtime_ns=draw(st.integers(-(2**34), 2**36)) * 10**9,
        linkname=draw(_NAMES) if kind in (Kind.HARDLINK, Kind.SYMLINK) else "",
        device=(draw(st.integers(0, 4095)), draw(st.integers(0, 2**20 - 1))) if is_device else (0, 0),
        xattrs=draw(st.dictionaries(st.from_regex(r"user\.[a-z.]{1,20}", fullmatch=True), st.binary(min_size=1))),
    )
    return entry, body


@_PATIENT
@given(st.lists(_entries(), max_size=6))
def test_what_is_written_is_read_back(entries: list[tuple[Entry, bytes]]) -> None:
    assert read_all(write_all(entries)) == entries


@_PATIENT
@given(st.lists(_entries(), max_size=4))
def test_the_standard_library_reads_the_same(entries: list[tuple[Entry, bytes]]) -> None:
    tar = io.BytesIO(write_all(entries))
    with tarfile.open(fileobj=tar, encoding="utf-8", errors="surrogateescape") as archive:
        _compare(entries, archive)


def _compare(entries: list[tuple[Entry, bytes]], archive: tarfile.TarFile) -> None:
    for (entry, body), found in zip(entries, archive.getmembers(), strict=True):
        expected = (entry.name, entry.mode, entry.uid, entry.gid, entry.mtime_ns // 10**9, entry.linkname, entry.size)
        assert (found.name, found.mode, found.uid, found.gid, found.mtime, found.linkname, found.size) == expected
        if entry.kind is Kind.FILE:
            file = archive.extractfile(found)
            assert file is not None
            assert file.read() == body


@_PATIENT
@given(st.text(max_size=80))
def test_a_clean_name_stays_clean(text: str) -> None:
    try:
        cleaned = clean_name(text)
    except InvalidLayer:
        return
    assert clean_name(cleaned) == cleaned
    assert cleaned == "." or all(part not in ("", ".", "..") for part in cleaned.split("/"))


def test_only_what_ustar_cannot_say_gets_an_extended_header() -> None:
    plain = write_all([(Entry("a" * 100, Kind.FILE), b""), (Entry("d" * 150 + "/" + "f" * 100, Kind.FILE), b"")])
    assert len(plain) == 4 * 512
    assert len(write_all([(Entry("a" * 101, Kind.FILE), b"")])) == 5 * 512


@needs_root
def test_gnu_tar_unpacks_the_same(tmp_path: Path) -> None:
    names = ["a", "ü" * 30, "x" * 120, "/".join(["long"] * 60), os.fsdecode(b"raw\xff")]
    entries = [(Entry(name, Kind.FILE, mode=0o4755, uid=5, gid=7, size=5, mtime_ns=10**18), b"12345") for name in names]
    entries.append((Entry("l" * 130, Kind.SYMLINK, mode=0o777, linkname="t" * 200, mtime_ns=10**18), b""))
    entries.append((Entry("h", Kind.HARDLINK, linkname="x" * 120), b""))
    entries.append((Entry("x", Kind.FILE, xattrs={"user.a": b"\0=\n"}, mtime_ns=10**18), b""))
    entries.append((Entry("dev", Kind.CHARACTER, device=(1, 3), mtime_ns=10**18), b""))
    tar = write_all(entries)
    (tmp_path / "theirs").mkdir()
    run(tool("tar"), "-x", "--xattrs", "--xattrs-include=*", "-C", str(tmp_path / "theirs"), input=tar)
    unpack(tar, tmp_path / "ours")
    ours, theirs = tree(tmp_path / "ours"), tree(tmp_path / "theirs")
    assert ours.keys() == theirs.keys()
    files = [name for name in ours if not (tmp_path / "ours" / name).is_dir()]
    assert {name: ours[name] for name in files} == {name: theirs[name] for name in files}


@pytest.mark.parametrize("body", [[b"123"], [b"12345", b"6"], [b"123456"], []], ids=["short", "more", "long", "none"])
def test_a_body_of_another_size_is_refused(body: list[bytes]) -> None:
    with pytest.raises(InvalidLayer, match="size"):
        TarWriter(lambda _: None).add(Entry("f", Kind.FILE, size=5), body)


def test_fractions_of_a_second_are_left_out() -> None:
    entry = Entry("f", Kind.FILE, mtime_ns=1_999_999_999)
    [(found, _)] = read_all(write_all([(entry, b"")]))
    assert found == dataclasses.replace(entry, mtime_ns=10**9)


@pytest.mark.parametrize("xattrs", [{"user.a=b": b""}, {"user.big": b"x" * (1 << 20)}], ids=["equals", "too-big"])
def test_an_attribute_that_no_tar_can_hold_is_refused(xattrs: dict[str, bytes]) -> None:
    with pytest.raises(InvalidLayer):
        write_all([(Entry("f", Kind.FILE, xattrs=xattrs), b"")])
