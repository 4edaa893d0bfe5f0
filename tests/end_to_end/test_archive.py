"""The OCI archive that a build writes, and what ``validate`` says of it and of its damaged copies."""

from __future__ import annotations

import json
import random
import tarfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.program import Program

DAMAGES = 2  # of each blob; tests/unit/archive tries more


@pytest.fixture(scope="module")
def archive(shared: Program, busybox_base: str) -> Path:
    path = shared.user.home / "image.tar"
    text = f"FROM {busybox_base}\nCOPY file /file\nRUN echo made > /made\n"
    context = shared.context("archive", {"Dockerfile": text, "file": "copied"})
    shared.build(context, "-t", "archived:1", "-o", f"type=oci,dest={path}")
    return path


def test_validate_passes_on_archive_layout_and_stored_image(shared: Program, archive: Path) -> None:
    shared.check("validate", archive)
    shared.check("validate", "archived:1")
    shared.check("validate", shared.store)
    layout = shared.user.home / "layout"
    with tarfile.open(archive) as tar:
        tar.extractall(layout)
    shared.user.give(layout)
    shared.check("validate", layout)


def test_archive_on_standard_output_is_the_same(shared: Program, archive: Path) -> None:
    written = shared.user.home / "piped.tar"
    words = f"ocibuild build -q -t archived:1 -o type=oci,dest=- {shared.user.home}/archive > {written}"
    result = shared.user.run("sh", "-c", words)
    assert result.returncode == 0, result.stderr
    assert written.read_bytes() == archive.read_bytes()


def test_archive_names_its_image(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        index = tar.extractfile("index.json")
        assert index is not None
        (entry,) = json.load(index)["manifests"]
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "1"
    assert entry["annotations"]["io.containerd.image.name"] == "docker.io/library/archived:1"


def test_validate_fails_on_a_copy_with_one_byte_changed(shared: Program, archive: Path) -> None:
    """Any byte of a blob; of the index, which no digest covers, those of the digest."""
    data = archive.read_bytes()
    chosen = random.Random(7)
    with tarfile.open(archive) as tar:
        blobs = [member for member in tar.getmembers() if member.isfile() and member.name.startswith("blobs/")]
    places = [blob.offset_data + chosen.randrange(blob.size) for blob in blobs for _ in range(DAMAGES)]
    for place in (*places, data.index(b'"digest":"sha256:') + 40, data.index(b'"1.0.0"') + 1):
        damaged = bytearray(data)
        damaged[place] ^= 1 << chosen.randrange(4)
        copy = shared.user.home / "damaged.tar"
        copy.write_bytes(damaged)
        result = shared.run("validate", copy)
        assert result.returncode == 1, f"byte {place}: {result.stdout}"
        assert result.stderr.startswith("ocibuild: ")
        assert "Traceback" not in result.stderr


def test_validate_fails_on_a_store_with_one_byte_changed(shared: Program, archive: Path) -> None:
    largest = max((shared.store / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = largest.read_bytes()
    largest.write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
    try:
        result = shared.run("validate", "archived:1")
        assert result.returncode == 1
        assert largest.name in result.stderr
    finally:
        largest.write_bytes(data)
