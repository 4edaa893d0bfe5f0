from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import tarfile
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ocibuild.archive import contents, validate_path
from ocibuild.errors import DigestMismatch, InvalidDocument, NotInStore, OcibuildError, UsageError
from ocibuild.oci import Descriptor, Digest, Index, Manifest, Reference, mediatypes
from ocibuild.store import Store
from tests.unit.archive.images import AMD64, ARM64, put_image, put_index, write_oci_archive, write_oci_layout

if TYPE_CHECKING:
    from pathlib import Path

APP = Reference.parse("registry.example:5000/team/app:1.2")
OTHER = Reference.parse("alpine")


def archive(store: Store, image: Descriptor, *names: Reference) -> bytes:
    stream = io.BytesIO()
    write_oci_archive(store.blobs, image, names, stream)
    return stream.getvalue()


def entries(data: bytes) -> list[dict[str, Any]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        member = tar.extractfile("index.json")
        assert member is not None
        found: list[dict[str, Any]] = json.load(member)["manifests"]
        return found


def test_archive_holds_the_layout_and_each_blob_once_in_order(store: Store, image: Descriptor) -> None:
    index = put_index(store, {AMD64: image, ARM64: image})
    with tarfile.open(fileobj=io.BytesIO(archive(store, index))) as tar:
        names = [member.name for member in tar]
        owners = {(member.uid, member.gid, member.mtime, member.uname, member.mode) for member in tar}
    blobs = sorted(f"blobs/sha256/{digest.encoded}" for digest in store.blobs)
    assert names == ["oci-layout", "index.json", "blobs", "blobs/sha256", *blobs]
    assert owners == {(0, 0, 0, "", 0o644), (0, 0, 0, "", 0o755)}


def test_same_image_gives_the_same_bytes(store: Store, image: Descriptor, tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "second")) as second:
        again = put_image(second, tmp_path / "again")
        assert archive(second, again, APP) == archive(store, image, APP)


def test_each_name_is_an_entry_with_the_tag_and_the_full_name(store: Store, image: Descriptor) -> None:
    found = entries(archive(store, image, APP, OTHER, APP))
    assert [entry["annotations"] for entry in found] == [
        {
            "io.containerd.image.name": "registry.example:5000/team/app:1.2",
            "org.opencontainers.image.ref.name": "1.2",
        },
        {"io.containerd.image.name": "docker.io/library/alpine:latest", "org.opencontainers.image.ref.name": "latest"},
    ]
    assert {entry["digest"] for entry in found} == {image.digest}


def test_names_that_the_store_knows_do_not_leak(store: Store, image: Descriptor) -> None:
    store.tags.set(OTHER, replace(image, annotations={"kept": "yes"}))
    stored = store.tags.get(OTHER)
    assert stored is not None
    assert entries(archive(store, stored))[0]["annotations"] == {"kept": "yes"}


def test_name_without_a_tag_has_no_ref_name(store: Store, image: Descriptor) -> None:
    pinned = Reference.parse(f"alpine@{image.digest}")
    assert entries(archive(store, image, pinned))[0]["annotations"] == {
        "io.containerd.image.name": f"docker.io/library/alpine@{image.digest}"
    }


def test_file_replaces_the_one_before_and_leaves_nothing_else(store: Store, image: Descriptor, tmp_path: Path) -> None:
    path = tmp_path / "out" / "app.tar"
    path.parent.mkdir()
    path.write_bytes(b"old")
    write_oci_archive(store.blobs, image, [APP], str(path))
    assert path.read_bytes() == archive(store, image, APP)
    assert os.listdir(path.parent) == ["app.tar"]


def test_link_to_a_file_stays_a_link(store: Store, image: Descriptor, tmp_path: Path) -> None:
    (tmp_path / "link.tar").symlink_to("real.tar")
    write_oci_archive(store.blobs, image, [], str(tmp_path / "link.tar"))
    assert (tmp_path / "link.tar").is_symlink()
    assert (tmp_path / "real.tar").read_bytes() == archive(store, image)


def test_fifo_is_written_and_not_replaced(store: Store, image: Descriptor, tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", str(fifo)], stdout=subprocess.PIPE) as reader:
        write_oci_archive(store.blobs, image, [], str(fifo))
        assert reader.communicate()[0] == archive(store, image)
    assert fifo.is_fifo()


def test_dash_is_stdout(store: Store, image: Descriptor) -> None:
    program = (
        "import sys; from ocibuild.store import Store; from tests.unit.archive.images import write_oci_archive;"
        "store = Store.open(sys.argv[1]); write_oci_archive(store.blobs, store.tags.entries()[0], [], '-')"
    )
    store.tags.keep(image)
    command = [sys.executable, "-c", program, store.root]
    assert subprocess.run(command, check=True, capture_output=True).stdout == archive(store, image)


def test_terminal_gets_no_archive(store: Store, image: Descriptor, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = os.openpty()
    with os.fdopen(ends[0]), os.fdopen(ends[1], "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        with pytest.raises(UsageError, match="terminal"):
            write_oci_archive(store.blobs, image, [], "-")


def test_missing_blob_is_named_before_anything_is_written(store: Store, image: Descriptor, tmp_path: Path) -> None:
    missing = json.loads(store.blobs.read(image.digest))["layers"][1]["digest"]
    os.unlink(store.blobs.path(Digest.parse(missing)))
    with pytest.raises(NotInStore, match=missing):
        write_oci_archive(store.blobs, image, [], str(tmp_path / "app.tar"))
    assert not (tmp_path / "app.tar").exists()


def test_blob_of_another_size_is_refused(store: Store, image: Descriptor) -> None:
    layer = json.loads(store.blobs.read(image.digest))["layers"][0]
    with open(store.blobs.path(Digest.parse(layer["digest"])), "ab") as blob:
        blob.write(b"more")
    with pytest.raises(DigestMismatch, match=f"has {layer['size'] + 4} bytes where {layer['size']} should be"):
        archive(store, image)


def test_failure_in_the_middle_keeps_the_old_file(
    store: Store, image: Descriptor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out" / "app.tar"
    path.parent.mkdir()
    path.write_bytes(b"old")

    def fail(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OcibuildError, match="No space left"):
        write_oci_archive(store.blobs, image, [], str(path))
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["app.tar"]


@pytest.mark.parametrize(
    ("name", "message"), [("missing/app.tar", "No such file"), ("folder", "Is a directory")], ids=["parent", "folder"]
)
def test_place_that_cannot_be_written_is_named(
    name: str, message: str, store: Store, image: Descriptor, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OcibuildError, match=f"{name}: {message}"):
        write_oci_archive(store.blobs, image, [], str(tmp_path / name))


FULL = """
import os, sys
from tests.unit.archive.images import write_oci_archive, write_oci_layout
from ocibuild.errors import NoSpace
from ocibuild.store import Store

store = Store.open(sys.argv[1])
target = sys.argv[2]
image = store.tags.entries()[0]
for write, name in [(write_oci_archive, "app.tar"), (write_oci_layout, "layout")]:
    try:
        write(store.blobs, image, [], f"{target}/{name}")
    except NoSpace as error:
        assert f"{target}/{name}" in str(error), error
    else:
        raise AssertionError("it fitted")
assert [name for _, _, names in os.walk(target) for name in names if "partial" in name] == []
print("done")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_full_device_is_said_and_leaves_no_half_of_a_file(store: Store, tmp_path: Path) -> None:
    layer = store.blobs.put(os.urandom(2 << 20), mediatypes.OCI_LAYER)
    manifest = Manifest(mediatypes.OCI_MANIFEST, store.blobs.put(b"{}", mediatypes.OCI_CONFIG), (layer,))
    store.tags.keep(store.blobs.put(manifest.to_bytes(), mediatypes.OCI_MANIFEST))
    (tmp_path / "small").mkdir()
    script = 'mount -t tmpfs -o size=1m none "$4" && exec "$1" -c "$2" "$3" "$4"'
    arguments = ["sh", sys.executable, FULL, store.root, str(tmp_path / "small")]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_memory_does_not_grow_with_the_image(store: Store, tmp_path: Path) -> None:
    with store.blobs.writer() as blob:
        for _ in range(64):
            blob.write(bytes(1 << 20))
        layer = blob.describe(mediatypes.OCI_LAYER)
    config = store.blobs.put(b"{}", mediatypes.OCI_CONFIG)
    manifest = Manifest(mediatypes.OCI_MANIFEST, config, (layer,))
    image = store.blobs.put(manifest.to_bytes(), mediatypes.OCI_MANIFEST)
    tracemalloc.start()
    write_oci_archive(store.blobs, image, [], str(tmp_path / "big.tar"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "big.tar").stat().st_size > 64 << 20
    assert peak < 8 << 20


def test_foreign_layer_that_is_elsewhere_is_left_out(store: Store) -> None:
    foreign = Descriptor(
        mediatypes.DOCKER_FOREIGN_LAYER_GZIP, Digest.of(b"elsewhere"), 9, urls=("https://example.org/layer",)
    )
    config = store.blobs.put(b"{}", mediatypes.OCI_CONFIG)
    manifest = Manifest(mediatypes.OCI_MANIFEST, config, (foreign,))
    image = store.blobs.put(manifest.to_bytes(), mediatypes.OCI_MANIFEST)
    assert {blob.digest for blob in contents(store.blobs, image)} == {image.digest, config.digest}
    unnamed = Manifest(mediatypes.OCI_MANIFEST, config, (replace(foreign, urls=()),))
    with pytest.raises(NotInStore, match=foreign.digest):
        contents(store.blobs, store.blobs.put(unnamed.to_bytes(), mediatypes.OCI_MANIFEST))


def test_indexes_nested_without_end_are_refused(store: Store, image: Descriptor) -> None:
    index = image
    for _ in range(10):
        index = store.blobs.put(Index(mediatypes.OCI_INDEX, (index,)).to_bytes(), mediatypes.OCI_INDEX)
    with pytest.raises(InvalidDocument, match="more than 8 indexes in one another"):
        archive(store, index)


def test_layout_in_a_new_folder_is_valid(store: Store, image: Descriptor, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "layout"
    write_oci_layout(store.blobs, image, [APP], str(folder))
    report = validate_path(str(folder))
    assert report.valid
    assert report.blobs == 4
    assert sorted(os.listdir(folder)) == ["blobs", "index.json", "oci-layout"]
    assert len(os.listdir(folder / "blobs" / "sha256")) == 4


def test_layout_keeps_other_tags_and_replaces_its_own(store: Store, image: Descriptor, tmp_path: Path) -> None:
    folder = str(tmp_path / "layout")
    second = put_image(store, tmp_path / "second", platform=ARM64)
    write_oci_layout(store.blobs, image, [APP], folder)
    write_oci_layout(store.blobs, image, [OTHER], folder)
    write_oci_layout(store.blobs, second, [APP], folder)
    write_oci_layout(store.blobs, second, [], folder)
    write_oci_layout(store.blobs, second, [], folder)
    with open(f"{folder}/index.json", encoding="utf-8") as file:
        found = json.load(file)["manifests"]
    assert [
        (entry["digest"], entry.get("annotations", {}).get("org.opencontainers.image.ref.name")) for entry in found
    ] == [
        (image.digest, "latest"),
        (second.digest, "1.2"),
        (second.digest, None),
    ]
    assert validate_path(folder, all_faults=True).faults == ()


def test_folder_with_something_else_in_it_is_refused(store: Store, image: Descriptor, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(OcibuildError, match="not empty and not an OCI layout"):
        write_oci_layout(store.blobs, image, [], str(tmp_path / "home"))
    assert os.listdir(tmp_path / "home") == ["letter.txt"]
