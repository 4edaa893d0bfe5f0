"""Whole copies between all that is no registry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pytest

from ocibuild.archive import validate_path
from ocibuild.errors import DigestMismatch, NotFound, OcibuildError, UnsupportedMediaType, UsageError
from ocibuild.oci import Digest, Index, Reference, mediatypes, parse_manifest
from ocibuild.store import Store
from ocibuild.transfer import Ends, Selection, parse_location, transfer
from tests.unit.archive.images import AMD64, ARM64, put_image, put_layer, write_oci_layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demo.registry import Service
    from ocibuild.oci import Descriptor
    from ocibuild.registry import Registry

ALL = Selection(everything=True)
FILES = ["oci:{}:1", "oci-archive:{}:1", "dir:{}", "store:app:1"]
HOLD_AN_INDEX = [*FILES, "docker://{registry}/app:1"]
HOLD_AN_IMAGE = [*HOLD_AN_INDEX, "docker-archive:{}:app:1"]
APP = Reference.parse("app:1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The store that images are made in."""
    with Store.open(str(tmp_path / "made")) as opened:
        yield opened


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    """The store that is copied from and to."""
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def index(store: Store, tmp_path: Path) -> Descriptor:
    """An index as BuildKit makes one: two images, and the attestation of the first."""
    amd64 = replace(put_image(store, tmp_path / "amd64"), platform=AMD64)
    arm64 = replace(put_image(store, tmp_path / "arm64", platform=ARM64), platform=ARM64)
    settings = b'{"architecture":"unknown","os":"unknown","rootfs":{"type":"layers","diff_ids":[]}}'
    config = store.blobs.put(settings, mediatypes.OCI_CONFIG)
    statement = store.blobs.put(b'{"_type":"https://in-toto.io/Statement/v0.1"}', "application/vnd.in-toto+json")
    manifest = {
        "schemaVersion": 2, "mediaType": mediatypes.OCI_MANIFEST, "config": config.to_json(),
        "layers": [statement.to_json()],
    }  # fmt: skip
    about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": str(amd64.digest)}
    attestation = store.blobs.put(json.dumps(manifest).encode(), mediatypes.OCI_MANIFEST).with_annotations(about)
    data = json.dumps(Index(mediatypes.OCI_INDEX, (amd64, arm64, attestation)).to_json(), indent=1).encode()
    return store.blobs.put(data, mediatypes.OCI_INDEX)


@pytest.fixture
def layout(store: Store, index: Descriptor, tmp_path: Path) -> str:
    write_oci_layout(store.blobs, index, [APP], str(tmp_path / "layout"))
    return f"oci:{tmp_path}/layout:1"


@pytest.fixture
def ends(registry: Registry, other: Store) -> Ends:
    return Ends(lambda: registry, lambda: other)


@pytest.fixture
def place(form: str, service: Service, tmp_path: Path) -> str:
    """The location that a form stands for."""
    return form.format(tmp_path / "there", registry=service.address)


def run(source: str, destination: str, ends: Ends, selection: Selection = ALL) -> Digest:
    origin, target = parse_location(source), parse_location(destination)
    return transfer(ends, origin, target, selection, progress=lambda _, __: None, abandon=lambda: None)


@pytest.mark.parametrize("form", HOLD_AN_INDEX)
def test_an_index_goes_there_and_back_byte_for_byte(
    place: str, layout: str, ends: Ends, store: Store, index: Descriptor, tmp_path: Path
) -> None:
    assert run(layout, place, ends) == index.digest
    assert run(place, f"oci:{tmp_path}/back:1", ends) == index.digest
    report = validate_path(str(tmp_path / "back"), all_faults=True)
    assert report.faults == ()
    made = {path.name: path.read_bytes() for path in (Path(store.root) / "blobs/sha256").iterdir()}
    back = {path.name: path.read_bytes() for path in (tmp_path / "back/blobs/sha256").iterdir()}
    assert back == made


@pytest.mark.parametrize("form", HOLD_AN_IMAGE)
@pytest.mark.parametrize("platform", [AMD64, ARM64], ids=str)
def test_one_image_of_an_index_comes_alone(
    place: str, platform: object, layout: str, ends: Ends, index: Descriptor, store: Store, tmp_path: Path
) -> None:
    entries = parse_manifest(store.blobs.read(index.digest))
    assert isinstance(entries, Index)
    (expected,) = (entry for entry in entries.manifests if entry.platform == platform)
    selection = Selection((expected.platform,)) if expected.platform else ALL
    assert run(layout, place, ends, selection) == expected.digest
    back = run(place, f"oci:{tmp_path}/back:1", ends)
    manifest = parse_manifest((tmp_path / "back/blobs" / back.replace(":", "/")).read_bytes())
    original = parse_manifest(store.blobs.read(expected.digest))
    assert not isinstance(manifest, Index)
    assert not isinstance(original, Index)
    assert manifest.config.digest == original.config.digest
    assert [layer.digest for layer in manifest.layers] == [layer.digest for layer in original.layers]
    if not place.startswith("docker-archive"):  # which has no manifest: one is made anew
        assert back == expected.digest
    assert validate_path(str(tmp_path / "back"), all_faults=True).faults == ()


def test_a_docker_archive_refuses_an_index_before_anything_is_read(layout: str, ends: Ends, tmp_path: Path) -> None:
    for blob in (tmp_path / "layout/blobs/sha256").iterdir():
        if blob.stat().st_size > 5000:
            blob.unlink()  # no layer is missed
    with pytest.raises(UnsupportedMediaType) as caught:
        run(layout, f"docker-archive:{tmp_path}/a.tar:app:1", ends)
    assert str(caught.value) == (
        f"docker-archive:{tmp_path}/a.tar:app:1: a docker archive holds one image, not an index "
        "(copy one platform, or to oci-archive:)"
    )
    assert not (tmp_path / "a.tar").exists()


@pytest.mark.parametrize(
    ("destination", "message"),
    [
        (f"oci:x@{Digest.of(b'')}", "a destination is named by a tag"),
        (f"oci-archive:x@{Digest.of(b'')}", "a destination is named by a tag"),
        ("docker-archive:x:@1", "a destination has no number"),
        (f"docker-archive:x:app@{Digest.of(b'')}", "a destination is named by a tag"),
    ],
)
def test_a_name_that_only_a_source_can_have_is_wrong_usage(destination: str, message: str, ends: Ends) -> None:
    with pytest.raises(UsageError, match=message):
        run("oci:missing", destination, ends)


def damage(tmp_path: Path, store: Store, index: Descriptor) -> Digest:
    """Change a byte of a layer of the layout, and return its digest."""
    entries = parse_manifest(store.blobs.read(index.digest))
    assert isinstance(entries, Index)
    manifest = parse_manifest(store.blobs.read(entries.manifests[1].digest))
    assert not isinstance(manifest, Index)
    digest = manifest.layers[0].digest
    path = tmp_path / "layout/blobs" / digest.replace(":", "/")
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    return digest


@pytest.mark.parametrize("form", HOLD_AN_INDEX)
def test_a_wrong_blob_names_source_and_digest_and_nothing_is_kept(
    place: str, layout: str, ends: Ends, store: Store, index: Descriptor, tmp_path: Path
) -> None:
    digest = damage(tmp_path, store, index)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(DigestMismatch, match=f"^{layout}: {digest}: "):
        run(layout, place, ends)
    assert sorted(os.listdir(tmp_path)) == before
    assert ends.store().tags.entries() == ()
    assert not ends.store().blobs.has(digest)


def test_a_wrong_manifest_is_found_out(
    layout: str, ends: Ends, store: Store, index: Descriptor, tmp_path: Path
) -> None:
    path = tmp_path / "layout/blobs" / index.digest.replace(":", "/")
    path.write_bytes(store.blobs.read(index.digest).replace(b"arm64", b"amd64"))
    with pytest.raises(DigestMismatch, match=f"^{layout}: {index.digest}: "):
        run(layout, f"dir:{tmp_path}/there", ends)


def test_a_missing_blob_is_named(layout: str, ends: Ends, store: Store, index: Descriptor, tmp_path: Path) -> None:
    digest = damage(tmp_path, store, index)
    (tmp_path / "layout/blobs" / digest.replace(":", "/")).unlink()
    with pytest.raises(NotFound, match=f"^{layout}: blobs/sha256/{digest.encoded} is not there"):
        run(layout, f"oci-archive:{tmp_path}/there", ends)
    assert not (tmp_path / "there").exists()


def test_an_archive_may_be_copied_over_itself(layout: str, ends: Ends, index: Descriptor, tmp_path: Path) -> None:
    run(layout, f"oci-archive:{tmp_path}/a.tar:1", ends)
    assert run(f"oci-archive:{tmp_path}/a.tar:1", f"oci-archive:{tmp_path}/a.tar:2", ends) == index.digest
    assert run(f"oci-archive:{tmp_path}/a.tar:2", "store:app", ends) == index.digest


def test_a_folder_may_be_copied_over_itself(layout: str, ends: Ends, index: Descriptor, tmp_path: Path) -> None:
    run(layout, f"dir:{tmp_path}/d", ends)
    assert run(f"dir:{tmp_path}/d", f"dir:{tmp_path}/d", ends) == index.digest
    assert run(f"dir:{tmp_path}/d", f"oci:{tmp_path}/back", ends) == index.digest


KILLED = """
import itertools, sys, time
import ocibuild.archive.layoutsource as module
from ocibuild.registry import Credentials, Registry, RegistryConfig
from ocibuild.store import Store
from ocibuild.transfer import Ends, Selection, parse_location, transfer

source, destination, root = sys.argv[1:]
opened = module.LayoutSource.open_blob
counter = itertools.count(1)

class Stuck:
    def __init__(self, file):
        self.file = file
        self.reads = 0
    def read(self, size):
        self.reads += 1
        if self.reads > 1:
            print("stuck", flush=True)
            time.sleep(60)
        return self.file.read(min(size, 10))
    def close(self):
        self.file.close()

def open_blob(self, descriptor, offset=0):
    file = opened(self, descriptor, offset)
    return Stuck(file) if next(counter) == 2 else file

module.LayoutSource.open_blob = open_blob
with Store.open(root) as store:
    ends = Ends(lambda: Registry(RegistryConfig(), Credentials()), lambda: store)
    transfer(ends, parse_location(source), parse_location(destination), Selection(everything=True),
             progress=lambda *_: None, abandon=lambda: None)
"""


def kill_in_the_middle(source: str, destination: str, store: Store) -> None:
    """Begin a copy, and kill it when it has written one blob and a part of another."""
    command = [sys.executable, "-c", KILLED, source, destination, store.root]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"stuck\n"
        finally:
            process.kill()


@pytest.mark.parametrize("form", HOLD_AN_INDEX)
def test_killed_in_the_middle_the_destination_is_as_it_was(
    place: str, layout: str, ends: Ends, store: Store, index: Descriptor, tmp_path: Path
) -> None:
    small = put_image(store, tmp_path / "small", trees=[{"small": b""}])
    write_oci_layout(store.blobs, small, [APP], str(tmp_path / "before"))
    run(f"oci:{tmp_path}/before:1", place, ends)
    kill_in_the_middle(layout, place, ends.store())
    assert run(place, f"oci:{tmp_path}/after:1", ends) == small.digest
    assert validate_path(str(tmp_path / "after"), all_faults=True).faults == ()
    assert run(layout, place, ends) == index.digest
    assert run(place, f"oci:{tmp_path}/again:1", ends) == index.digest


def test_killed_in_the_middle_there_is_no_new_folder(layout: str, ends: Ends, tmp_path: Path) -> None:
    for form in ("oci", "dir"):
        kill_in_the_middle(layout, f"{form}:{tmp_path}/{form}", ends.store())
        assert not (tmp_path / form).exists()


def files_open(folder: Path) -> list[str]:
    """Return the files and folders below ``folder`` that this process has open."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the listing's own
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return sorted(path for path in found if path.startswith(str(folder)))


def test_no_descriptor_stays_open(layout: str, ends: Ends, tmp_path: Path) -> None:
    run(layout, f"oci:{tmp_path}/warm", ends)
    before = files_open(tmp_path)
    for form in FILES:
        run(layout, form.format(tmp_path / form.partition(":")[0]), ends)
    with pytest.raises(OcibuildError):
        run("oci:missing", f"dir:{tmp_path}/x", ends)
    assert files_open(tmp_path) == before


@pytest.mark.parametrize("there", [True, False])
def test_a_foreign_layer_of_a_registry_is_not_fetched_from_elsewhere(
    there: bool, service: Service, ends: Ends, store: Store, tmp_path: Path
) -> None:
    """Its URL is one of the registry itself, where somebody would notice."""
    layer = put_layer(store, tmp_path / "foreign", {"foreign": b"file"})
    foreign = replace(
        layer.descriptor,
        media_type=mediatypes.DOCKER_FOREIGN_LAYER_GZIP,
        urls=(f"http://{service.address}/v2/elsewhere/blobs/{layer.descriptor.digest}",),
    )
    image = put_image(store, tmp_path / "image", layers=[replace(layer, descriptor=foreign)])
    write_oci_layout(store.blobs, image, [APP], str(tmp_path / "foreign-layout"))
    run(f"oci:{tmp_path}/foreign-layout:1", f"docker://{service.address}/app:1", ends)
    if there:
        repository = Reference.parse(f"{service.address}/app")
        blob = store.blobs.path(foreign.digest)
        ends.registry().upload_blob(repository, foreign, lambda at: _opened(blob, at), lambda _: None)
    service.seen.clear()
    assert run(f"docker://{service.address}/app:1", f"oci:{tmp_path}/back:1", ends) == image.digest
    assert (tmp_path / "back/blobs" / foreign.digest.replace(":", "/")).exists() == there
    assert service.requests("GET", "/v2/elsewhere/") == []


def _opened(path: str, at: int) -> BinaryIO:
    file = open(path, "rb")  # noqa: SIM115
    file.seek(at)
    return file
