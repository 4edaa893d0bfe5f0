"""What a copy leaves at a layout, an archive or a folder: all of an image, or what was there before."""

from __future__ import annotations

import io
import json
import os
import tarfile
import threading
from typing import TYPE_CHECKING, BinaryIO

import pytest

from ocibuild.archive import (
    archive_destination,
    docker_archive_destination,
    folder_destination,
    folder_source,
    layout_destination,
    layout_source,
    validate_path,
)
from ocibuild.errors import DigestMismatch, InvalidDocument, NotFound, OcibuildError, UnsupportedMediaType
from ocibuild.oci import Descriptor, Digest, Manifest, Reference, mediatypes, parse_manifest
from tests.unit.archive.images import AMD64, ARM64, put_image, put_index, write_oci_layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ocibuild.oci.image_io import ImageDestination
    from ocibuild.store import Store

APP = Reference.parse("registry.example/app:1")
RIGHT = Descriptor(mediatypes.OCI_LAYER, Digest.of(b"right"), 5)
FORMS = ["oci", "oci-archive", "docker-archive", "dir"]


def opened(form: str, path: Path, tag: str | None = "1") -> AbstractContextManager[ImageDestination]:
    match form:
        case "oci":
            return layout_destination(str(path), f"oci:{path}", tag)
        case "oci-archive":
            return archive_destination(str(path), f"oci-archive:{path}", tag)
        case "docker-archive":
            return docker_archive_destination(str(path), f"docker-archive:{path}", APP)
        case _:
            return folder_destination(str(path), f"dir:{path}")


def at_start(reader: BinaryIO) -> Callable[[int], BinaryIO]:
    return lambda _: reader


def put_blobs(store: Store, image: Descriptor, destination: ImageDestination) -> None:
    manifest = parse_manifest(store.blobs.read(image.digest), image.media_type)
    assert isinstance(manifest, Manifest)
    for blob in (*manifest.layers, manifest.config):
        if not destination.has_blob(blob):
            destination.put_blob(blob, at_start(store.blobs.open(blob.digest)), lambda _: None)


def write(store: Store, image: Descriptor, destination: ImageDestination) -> None:
    put_blobs(store, image, destination)
    destination.finish(image, store.blobs.read(image.digest))


def fail(opening: AbstractContextManager[ImageDestination], store: Store, image: Descriptor, content: bytes) -> None:
    """Copy the blobs of an image, and then one that has this content where it should have another."""
    with opening as destination:
        put_blobs(store, image, destination)
        destination.put_blob(RIGHT, at_start(io.BytesIO(content)), lambda _: None)


def files(path: Path) -> dict[str, bytes]:
    """Return all that is at ``path`` and beside it."""
    found = sorted(one for one in path.parent.rglob("*") if one.is_file())
    return {str(one.relative_to(path.parent)): one.read_bytes() for one in found}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A path in a folder that has nothing else."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place" / "copy"


@pytest.mark.parametrize("form", FORMS)
def test_a_wrong_blob_leaves_nothing_new(form: str, store: Store, image: Descriptor, place: Path) -> None:
    for content in (b"wrong", b"righ", b"right?"):
        with pytest.raises(DigestMismatch, match=str(RIGHT.digest)):
            fail(opened(form, place), store, image, content)
        assert files(place) == {}
    assert os.listdir(place.parent) == []


@pytest.mark.parametrize("form", FORMS)
def test_a_copy_that_fails_leaves_the_image_that_was_there(
    form: str, store: Store, image: Descriptor, place: Path, tmp_path: Path
) -> None:
    with opened(form, place) as destination:
        write(store, image, destination)
    before = files(place)
    other = put_image(store, tmp_path / "other", trees=[{"other": b"other"}])
    with pytest.raises(DigestMismatch):
        fail(opened(form, place), store, other, b"wrong")
    after = files(place)
    assert {name: after[name] for name in before} == before
    if form != "oci":  # there, blobs without a name stay for the next copy
        assert after == before
    with opened(form, place) as destination:
        write(store, other, destination)
    assert any(store.blobs.read(other.digest) in data for data in files(place).values())


@pytest.mark.parametrize("form", ["oci", "oci-archive", "docker-archive"])
def test_what_is_written_is_a_valid_layout(form: str, store: Store, image: Descriptor, place: Path) -> None:
    with opened(form, place) as destination:
        write(store, image, destination)
    report = validate_path(str(place), all_faults=True)
    assert report.faults == ()
    assert report.blobs == 4


def test_the_same_image_gives_the_same_archive(store: Store, image: Descriptor, tmp_path: Path) -> None:
    for name in ("a", "b"):
        with opened("oci-archive", tmp_path / name) as destination:
            write(store, image, destination)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_layout_keeps_its_other_tags(store: Store, image: Descriptor, place: Path, tmp_path: Path) -> None:
    write_oci_layout(store.blobs, image, [APP, APP.with_tag("2")], str(place))
    other = put_image(store, tmp_path / "other", trees=[{"other": b""}])
    with opened("oci", place) as destination:
        write(store, other, destination)
    found = {}
    for tag in ("1", "2"):
        with layout_source(str(place), "oci", tag=tag) as source:
            found[tag] = source.root().digest
    assert found == {"1": other.digest, "2": image.digest}
    assert validate_path(str(place), all_faults=True).faults == ()


def test_writers_of_one_layout_do_not_lose_each_others_tags(store: Store, image: Descriptor, place: Path) -> None:
    write_oci_layout(store.blobs, image, [APP], str(place))

    def copy(tag: str) -> None:
        with layout_destination(str(place), "oci", tag) as destination:
            write(store, image, destination)

    threads = [threading.Thread(target=copy, args=(f"t{number}",)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = json.loads((place / "index.json").read_bytes())["manifests"]
    tags = {entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries}
    assert tags == {"1", *(f"t{number}" for number in range(12))}


@pytest.mark.parametrize("form", ["oci", "dir"])
def test_a_folder_of_something_else_is_left_alone(form: str, place: Path) -> None:
    place.mkdir()
    (place / "precious").write_text("mine")
    with pytest.raises(OcibuildError, match="is not empty and not"), opened(form, place):
        pass
    assert files(place) == {"copy/precious": b"mine"}


@pytest.mark.parametrize("form", ["oci", "dir"])
def test_an_empty_folder_and_folders_above_are_fine(form: str, store: Store, image: Descriptor, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    inode = (tmp_path / "empty").stat().st_ino
    for path in (tmp_path / "empty", tmp_path / "a/b/c"):
        with opened(form, path) as destination:
            write(store, image, destination)
    assert (tmp_path / "empty").stat().st_ino == inode


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_an_archive_in_no_folder_is_an_error(form: str, tmp_path: Path) -> None:
    with pytest.raises(OcibuildError, match="No such file or directory"), opened(form, tmp_path / "missing/a.tar"):
        pass


def test_a_folder_holds_what_skopeo_puts_there(store: Store, image: Descriptor, place: Path) -> None:
    index = put_index(store, {AMD64: image})
    with opened("dir", place) as destination:
        put_blobs(store, image, destination)
        destination.put_manifest(image, store.blobs.read(image.digest))
        destination.finish(index, store.blobs.read(index.digest))
    assert (place / "version").read_bytes() == b"Directory Transport Version: 1.1\n"
    assert (place / "manifest.json").read_bytes() == store.blobs.read(index.digest)
    assert (place / f"{image.digest.encoded}.manifest.json").read_bytes() == store.blobs.read(image.digest)
    manifest = json.loads(store.blobs.read(image.digest))
    for blob in (manifest["config"], *manifest["layers"]):
        assert (place / blob["digest"].removeprefix("sha256:")).stat().st_size == blob["size"]


def test_a_folder_that_is_written_again_has_the_new_image_alone(
    store: Store, image: Descriptor, place: Path, tmp_path: Path
) -> None:
    with opened("dir", place) as destination:
        write(store, image, destination)
    (place / "signature-1").write_bytes(b"of the old image")
    (place / "notes").write_bytes(b"somebody's")
    other = put_image(store, tmp_path / "other", trees=[{"other": b""}])
    with opened("dir", place) as destination:
        write(store, other, destination)
    manifest = json.loads(store.blobs.read(other.digest))
    blobs = {blob["digest"].removeprefix("sha256:") for blob in (manifest["config"], *manifest["layers"])}
    assert set(os.listdir(place)) == {"version", "manifest.json", "notes", *blobs}


def test_a_docker_archive_names_its_parts(store: Store, image: Descriptor, place: Path) -> None:
    with opened("docker-archive", place) as destination:
        write(store, image, destination)
    manifest = json.loads(store.blobs.read(image.digest))
    with tarfile.open(place) as tar:
        listed = tar.extractfile("manifest.json")
        assert listed
        (found,) = json.load(listed)
    assert found["RepoTags"] == ["registry.example/app:1"]
    assert found["Config"] == "blobs/" + manifest["config"]["digest"].replace(":", "/")
    assert found["Layers"] == ["blobs/" + layer["digest"].replace(":", "/") for layer in manifest["layers"]]


def test_a_docker_archive_takes_images_alone(store: Store, image: Descriptor, place: Path, tmp_path: Path) -> None:
    index = put_index(store, {AMD64: image, ARM64: put_image(store, tmp_path / "arm", platform=ARM64)})
    with (
        pytest.raises(UnsupportedMediaType, match="holds one image, not an index"),
        opened("docker-archive", place) as destination,
    ):
        destination.finish(index, store.blobs.read(index.digest))
    chart = Manifest(mediatypes.OCI_MANIFEST, Descriptor("application/vnd.example", Digest.of(b""), 0), ())
    data = chart.to_bytes()
    with pytest.raises(UnsupportedMediaType, match="is no image"), opened("docker-archive", place) as destination:
        destination.finish(Descriptor(mediatypes.OCI_MANIFEST, Digest.of(data), len(data)), data)
    with pytest.raises(NotFound, match="the foreign layer sha256"), opened("docker-archive", place) as destination:
        destination.finish(image, store.blobs.read(image.digest))
    assert files(place) == {}


# -- sources


def test_a_layout_is_asked_for_by_tag_full_name_or_digest(store: Store, image: Descriptor, place: Path) -> None:
    write_oci_layout(store.blobs, image, [APP], str(place))
    for tag, digest in (("1", None), (str(APP), None), (None, image.digest), (None, None)):
        with layout_source(str(place), "oci:x", tag=tag, digest=digest) as source:
            assert source.root().digest == image.digest
            assert source.read_manifest(image) == store.blobs.read(image.digest)
    with (
        pytest.raises(NotFound, match=r"^oci:x: no image with the tag '3' in the layout"),
        layout_source(str(place), "oci:x", tag="3") as source,
    ):
        source.root()


def test_the_two_kinds_of_layouts_are_not_taken_for_each_other(store: Store, image: Descriptor, tmp_path: Path) -> None:
    write_oci_layout(store.blobs, image, [APP], str(tmp_path / "folder"))
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(OcibuildError, match=r"is no folder .copy from oci-archive:"),
        layout_source(f"{tmp_path}/file", "oci:x"),
    ):
        pass
    with (
        pytest.raises(OcibuildError, match=r"is a folder .copy from oci:"),
        layout_source(f"{tmp_path}/folder", "oci-archive:x", archive=True),
    ):
        pass
    with pytest.raises(OcibuildError, match=r"^oci:x: .*No such file"), layout_source(f"{tmp_path}/missing", "oci:x"):
        pass


def test_errors_of_the_block_are_not_the_sources(store: Store, image: Descriptor, place: Path) -> None:
    write_oci_layout(store.blobs, image, [APP], str(place))
    with pytest.raises(OcibuildError, match=r"^of the destination"), layout_source(str(place), "oci:x"):
        raise OcibuildError("of the destination")


def spoil_version(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b" " * ((4 << 20) + 1))


def link_out(folder: Path) -> None:
    (folder / "manifest.json").rename(folder.parent / "elsewhere")
    (folder / "manifest.json").symlink_to("../elsewhere")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_version, "4194305 bytes"),
        (link_out, "not a regular file"),
        (lambda folder: (folder / "manifest.json").unlink(), "it is not there"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"{}"), "schemaVersion"),
    ],
    ids=["huge", "symlink", "missing", "empty"],
)
def test_a_hostile_folder_gets_a_line(
    spoil: Callable[[Path], object], message: str, store: Store, image: Descriptor, place: Path
) -> None:
    with opened("dir", place) as destination:
        write(store, image, destination)
    spoil(place)
    with (
        pytest.raises(InvalidDocument, match=f"^dir:x: manifest.json: .*{message}"),
        folder_source(str(place), "dir:x"),
    ):
        pass


@pytest.mark.parametrize("form", ["oci", "dir"])
def test_a_blob_that_is_a_link_is_not_read(form: str, store: Store, image: Descriptor, place: Path) -> None:
    with opened(form, place) as destination:
        write(store, image, destination)
    layer = parse_manifest(store.blobs.read(image.digest)).layers[0]  # type: ignore[union-attr]
    (blob,) = place.rglob(layer.digest.encoded)
    blob.unlink()
    blob.symlink_to("/etc/passwd")
    source = layout_source(str(place), "x") if form == "oci" else folder_source(str(place), "x")
    with source as opened_source, pytest.raises(InvalidDocument, match=r"^x: it is not a regular file"):
        opened_source.open_blob(layer)
