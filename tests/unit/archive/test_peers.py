"""What we write is read by other tools, and what they write is found to be valid."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest

from ocibuild.archive import validate_path
from ocibuild.oci import Compression, Reference
from tests.support.peers import require_peer
from tests.unit.archive.images import AMD64, ARM64, TREES, put_image, put_index, write_oci_archive, write_oci_layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocibuild.oci import Descriptor
    from ocibuild.store import Store

APP = Reference.parse("registry.example:5000/team/app:1.2")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="unpacks as root")


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def archive(store: Store, image: Descriptor, tmp_path: Path) -> str:
    write_oci_archive(store.blobs, image, [APP], str(tmp_path / "app.tar"))
    return str(tmp_path / "app.tar")


@pytest.mark.parametrize("suffix", ["", ":1.2"], ids=["alone", "by-tag"])
def test_skopeo_inspects_our_archive(suffix: str, archive: str, image: Descriptor) -> None:
    found = json.loads(run(require_peer("skopeo"), "inspect", f"oci-archive:{archive}{suffix}"))
    assert found["Digest"] == image.digest
    assert found["Architecture"] == "amd64"
    assert len(found["Layers"]) == 2


def test_skopeo_finds_each_of_several_names(store: Store, image: Descriptor, tmp_path: Path) -> None:
    skopeo = require_peer("skopeo")
    path = str(tmp_path / "two.tar")
    write_oci_archive(store.blobs, image, [APP, Reference.parse("alpine:edge")], path)
    for tag in ("1.2", "edge"):
        assert json.loads(run(skopeo, "inspect", f"oci-archive:{path}:{tag}"))["Digest"] == image.digest


def test_skopeo_copies_our_archive_and_the_copies_are_valid(archive: str, tmp_path: Path) -> None:
    skopeo = require_peer("skopeo")
    run(skopeo, "copy", f"oci-archive:{archive}", f"oci:{tmp_path}/copy:1")
    run(skopeo, "copy", f"oci:{tmp_path}/copy:1", f"oci-archive:{tmp_path}/copy.tar:2")
    for path in ("copy", "copy.tar"):
        report = validate_path(str(tmp_path / path), all_faults=True)
        assert report.faults == ()
        assert report.blobs == 4


def test_skopeo_copies_every_platform(store: Store, image: Descriptor, tmp_path: Path) -> None:
    skopeo = require_peer("skopeo")
    index = put_index(store, {AMD64: image, ARM64: put_image(store, tmp_path / "arm", platform=ARM64)})
    write_oci_archive(store.blobs, index, [APP], str(tmp_path / "both.tar"))
    run(skopeo, "copy", "--all", f"oci-archive:{tmp_path}/both.tar", f"oci:{tmp_path}/both:1")
    for path in ("both.tar", "both"):
        report = validate_path(str(tmp_path / path), all_faults=True)
        assert report.faults == ()
        assert report.blobs == 7


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_layers_that_skopeo_compresses_are_valid(compression: str, store: Store, tmp_path: Path) -> None:
    skopeo = require_peer("skopeo")
    image = put_image(store, tmp_path / "trees", compression=Compression.NONE)
    write_oci_archive(store.blobs, image, [], str(tmp_path / "plain.tar"))
    options = ["--dest-compress", "--dest-compress-format", compression]
    run(skopeo, "copy", *options, f"oci-archive:{tmp_path}/plain.tar", f"oci:{tmp_path}/packed:1")
    index = json.loads((tmp_path / "packed" / "index.json").read_bytes())
    manifest = tmp_path / "packed" / "blobs" / index["manifests"][0]["digest"].replace(":", "/")
    assert json.loads(manifest.read_bytes())["layers"][0]["mediaType"].endswith(f"+{compression}")
    assert validate_path(str(tmp_path / "packed"), all_faults=True).faults == ()


def test_skopeo_adds_to_our_layout(store: Store, image: Descriptor, archive: str, tmp_path: Path) -> None:
    skopeo = require_peer("skopeo")
    write_oci_layout(store.blobs, image, [Reference.parse("a:ours")], str(tmp_path / "layout"))
    run(skopeo, "copy", f"oci-archive:{archive}", f"oci:{tmp_path}/layout:theirs")
    write_oci_layout(store.blobs, image, [Reference.parse("a:again")], str(tmp_path / "layout"))
    for tag in ("ours", "theirs", "again"):
        run(skopeo, "inspect", f"oci:{tmp_path}/layout:{tag}")
    assert validate_path(str(tmp_path / "layout"), all_faults=True).faults == ()


@as_root
@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.NONE])  # umoci 0.4 reads no zstd
def test_umoci_unpacks_our_layout(compression: Compression, store: Store, tmp_path: Path) -> None:
    umoci = require_peer("umoci")
    image = put_image(store, tmp_path / "trees", compression=compression)
    write_oci_layout(store.blobs, image, [APP], str(tmp_path / "layout"))
    run(umoci, "unpack", "--image", f"{tmp_path}/layout:1.2", str(tmp_path / "bundle"))
    for tree in TREES:
        for name, content in tree.items():
            assert (tmp_path / "bundle" / "rootfs" / name).read_bytes() == content


@pytest.fixture
def podman() -> Iterator[list[str]]:
    """Podman with a store of its own; its path must be short. Its mounts are its own."""
    program = require_peer("podman")
    with tempfile.TemporaryDirectory(prefix="podman") as folder:
        command = [
            "unshare",
            "--mount",
            program,
            "--root",
            f"{folder}/root",
            "--runroot",
            f"{folder}/run",
            "--storage-driver",
            "vfs",
        ]
        yield command
        subprocess.run([*command, "rmi", "--all", "--force"], capture_output=True, check=False)


@as_root
def test_podman_loads_our_archive_under_its_full_name(podman: list[str], archive: str) -> None:
    assert f"Loaded image: {APP}" in run(*podman, "load", "-i", archive)
    assert run(*podman, "images", "--format", "{{.Repository}}:{{.Tag}}").split() == [str(APP)]


@as_root
def test_archives_that_podman_saves_are_valid(podman: list[str], archive: str, tmp_path: Path) -> None:
    run(*podman, "load", "-i", archive)
    run(*podman, "save", "--format", "oci-archive", "-o", f"{tmp_path}/saved.tar", str(APP))
    assert validate_path(f"{tmp_path}/saved.tar", all_faults=True).faults == ()
