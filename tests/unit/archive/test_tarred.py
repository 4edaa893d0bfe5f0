from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from ocibuild.archive import OciArchive, open_source, validate_path
from ocibuild.errors import InvalidDocument, OcibuildError
from ocibuild.oci import Descriptor, Digest, Manifest, mediatypes
from tests.unit.archive.images import put_image, write_oci_archive, write_oci_layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ocibuild.store import Store


@pytest.fixture
def written(store: Store, image: Descriptor, tmp_path: Path) -> Path:
    path = tmp_path / "app.tar"
    write_oci_archive(store.blobs, image, [], str(path))
    return path


def make_tar(path: Path, fill: Callable[[tarfile.TarFile], None]) -> str:
    with tarfile.open(path, "w") as tar:
        fill(tar)
    return str(path)


def add(tar: tarfile.TarFile, name: str, content: bytes = b"{}", kind: bytes = tarfile.REGTYPE, to: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    member.size = len(content) if kind == tarfile.REGTYPE else 0
    tar.addfile(member, io.BytesIO(content))


def test_files_are_read_where_they_lie(tmp_path: Path) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        add(tar, "./blobs", kind=tarfile.DIRTYPE)
        add(tar, "./blobs/sha256/aa", b"a" * 700)
        add(tar, "manifest.json", b"[]" * 5000)
        add(tar, "./blobs/sha512/" + "b" * 128, b"b" * 512)
        add(tar, "index.json", b"")

    with OciArchive(make_tar(tmp_path / "t.tar", fill)) as archive:
        for name, content in [
            ("blobs/sha256/aa", b"a" * 700),
            ("blobs/sha512/" + "b" * 128, b"b" * 512),
            ("index.json", b""),
        ]:
            assert archive.size_of(name) == len(content)
            with archive.open_file(name) as file:
                assert file.read() == content
        assert archive.size_of("manifest.json") is None
        assert archive.size_of("oci-layout") is None


def add_all(tar: tarfile.TarFile, *names: str) -> None:
    for name in names:
        add(tar, name)


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda tar: add_all(tar, "index.json", "./index.json"), "'index.json' is in it twice"),
        (
            lambda tar: add(tar, "blobs/sha256/aa", kind=tarfile.SYMTYPE, to="/etc/shadow"),
            "'blobs/sha256/aa' is a symbolic link where a file must be",
        ),
        (
            lambda tar: add(tar, "index.json", kind=tarfile.LNKTYPE, to="oci-layout"),
            "'index.json' is a hard link where a file must be",
        ),
        (lambda tar: add(tar, "../index.json"), "leaves the root directory"),
    ],
    ids=["twice", "symlink", "hard-link", "outside"],
)
def test_archive_that_readers_would_read_differently_is_refused(
    fill: Callable[[tarfile.TarFile], None], message: str, tmp_path: Path
) -> None:
    path = make_tar(tmp_path / "bad.tar", fill)
    report = validate_path(path)
    assert len(report.faults) == 1
    assert str(report.faults[0]).startswith(f"{path}: ")
    assert message in str(report.faults[0])


@pytest.mark.parametrize("kind", ["gnu", "pax"])
def test_sparse_blob_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    blob = tmp_path / "blobs" / "sha256" / "aa"
    blob.parent.mkdir(parents=True)
    with blob.open("wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"data")
    subprocess.run(["tar", f"--format={kind}", "-Scf", "sparse.tar", "blobs"], cwd=tmp_path, check=True)
    with pytest.raises(InvalidDocument, match="stored as a sparse file"), open_source(str(tmp_path / "sparse.tar")):
        pass


@pytest.mark.parametrize("kind", ["v7", "ustar", "gnu", "pax", "oldgnu"])
def test_tars_of_other_programs_are_read(kind: str, store: Store, image: Descriptor, tmp_path: Path) -> None:
    write_oci_layout(store.blobs, image, [], str(tmp_path / "layout"))
    subprocess.run(["tar", f"--format={kind}", "-cf", "../t.tar", "."], cwd=tmp_path / "layout", check=True)
    report = validate_path(str(tmp_path / "t.tar"))
    assert report.valid
    assert report.blobs == 4


@pytest.mark.parametrize("kind", ["gnu", "pax"])
def test_blobs_with_long_names_are_read(kind: str, store: Store, image: Descriptor, tmp_path: Path) -> None:
    data = store.blobs.read(image.digest)
    long = Descriptor(image.media_type, Digest.parse(f"sha512:{hashlib.sha512(data).hexdigest()}"), len(data))
    with store.blobs.writer(long) as blob:
        blob.write(data)
    write_oci_archive(store.blobs, long, [], str(tmp_path / "ours.tar"))
    write_oci_layout(store.blobs, long, [], str(tmp_path / "layout"))
    subprocess.run(["tar", f"--format={kind}", "-cf", "../t.tar", "."], cwd=tmp_path / "layout", check=True)
    for name in ("ours.tar", "t.tar"):
        report = validate_path(str(tmp_path / name))
        assert report.faults == ()
        assert report.blobs == 4


def test_compressed_archive_is_refused_by_name(written: Path) -> None:
    written.write_bytes(gzip.compress(written.read_bytes()))
    report = validate_path(str(written))
    assert [str(fault) for fault in report.faults] == [f"{written}: the archive is compressed with gzip"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"GIF89a" * 200, "in place of a number"),
        (b"x", "the tar ends in the middle of a block"),
        (bytes(1024), "oci-layout: it is not there"),
    ],
    ids=["empty", "picture", "byte", "no-entries"],
)
def test_file_that_is_no_archive_gets_a_line(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content)
    report = validate_path(str(tmp_path / "f"))
    assert message in str(report.faults[0])
    assert str(report.faults[0]).startswith(str(tmp_path / "f"))


def test_archive_cut_short_anywhere_is_not_valid(written: Path) -> None:
    whole = written.read_bytes()
    for length in range(0, len(whole) - 1024, 256):
        written.write_bytes(whole[:length])
        assert not validate_path(str(written)).valid, length


def test_archive_cut_in_a_blob_says_so(written: Path) -> None:
    whole = written.read_bytes()
    with tarfile.open(written) as tar:
        last = tar.getmembers()[-1]
    written.write_bytes(whole[: last.offset_data + 10])
    report = validate_path(str(written))
    assert [str(fault) for fault in report.faults] == [
        f"{written}: it is cut short: it ends in the middle of {last.name!r}"
    ]


def test_size_beyond_the_file_does_not_make_us_read(tmp_path: Path) -> None:
    member = tarfile.TarInfo("index.json")
    member.size = 1 << 62
    (tmp_path / "huge.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert "cut short" in str(validate_path(str(tmp_path / "huge.tar")).faults[0])


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocibuild.archive.tarred.MAX_FILES", 3)
    path = make_tar(tmp_path / "many.tar", lambda tar: add_all(tar, *(f"blobs/sha256/{n}" for n in range(4))))
    assert "more than 3 files" in str(validate_path(path).faults[0])


def test_pieces_of_one_archive_can_be_read_side_by_side(store: Store, tmp_path: Path) -> None:
    image = put_image(store, tmp_path / "trees")
    write_oci_archive(store.blobs, image, [], str(tmp_path / "a.tar"))
    document = Manifest.from_json(json.loads(store.blobs.read(image.digest)), mediatypes.OCI_MANIFEST)
    names = [f"blobs/sha256/{layer.digest.encoded}" for layer in document.layers]
    with OciArchive(str(tmp_path / "a.tar")) as archive:
        files = [archive.open_file(name) for name in names]
        parts: list[list[bytes]] = [[], []]
        for _ in range(1 << 10):
            for part, file in zip(parts, files, strict=True):
                part.append(file.read(3))
        for part, layer in zip(parts, document.layers, strict=True):
            assert Digest.of(b"".join(part)) == layer.digest
        for file in files:
            file.close()


def test_path_that_cannot_be_read_is_an_error_and_no_fault(tmp_path: Path) -> None:
    with pytest.raises(OcibuildError, match=r"nowhere.tar: No such file"):
        validate_path(str(tmp_path / "nowhere.tar"))
    assert "neither a directory nor a file" in str(validate_path("/dev/null").faults[0])
