from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from ocibuild.archive import load_layout
from ocibuild.errors import DigestMismatch, InvalidDocument, NoMatchingPlatform, NotFound, OcibuildError
from ocibuild.oci import Digest, Reference
from ocibuild.store import Store
from tests.unit.archive.images import AMD64, ARM64, put_image, write_oci_archive, write_oci_layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocibuild.oci import Descriptor, Platform
    from ocibuild.store import StoredImage

NAME = Reference.parse("example.com/app:v1")


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    """The store that an image is loaded into."""
    with Store.open(str(tmp_path / "other")) as opened:
        yield opened


@pytest.fixture
def layout(store: Store, image: Descriptor, tmp_path: Path) -> Path:
    write_oci_layout(store.blobs, image, [NAME], str(tmp_path / "layout"))
    return tmp_path / "layout"


def load(
    path: Path, other: Store, tag: str | None = None, digest: Digest | None = None, platform: Platform = AMD64
) -> StoredImage:
    return load_layout(str(path), other.blobs, tag=tag, digest=digest, platform=platform)


def test_an_image_comes_with_all_its_blobs(layout: Path, other: Store, image: Descriptor) -> None:
    loaded = load(layout, other, "v1")
    assert loaded.descriptor.digest == image.digest
    for descriptor in (loaded.descriptor, loaded.manifest.config, *loaded.manifest.layers):
        assert other.blobs.has(descriptor.digest)


def test_the_only_image_needs_no_tag(layout: Path, other: Store, image: Descriptor) -> None:
    assert load(layout, other).descriptor.digest == image.digest


def test_an_image_is_found_by_its_digest(layout: Path, other: Store, image: Descriptor) -> None:
    assert load(layout, other, digest=image.digest).descriptor.digest == image.digest


def test_an_archive_is_a_layout_too(store: Store, other: Store, image: Descriptor, tmp_path: Path) -> None:
    write_oci_archive(store.blobs, image, [NAME], str(tmp_path / "app.tar"))
    assert load(tmp_path / "app.tar", other, "v1").descriptor.digest == image.digest


def test_of_several_images_the_tag_tells(store: Store, other: Store, layout: Path, tmp_path: Path) -> None:
    second = put_image(store, tmp_path / "second", trees=[{"other": b""}], platform=ARM64)
    write_oci_layout(store.blobs, second, [NAME.with_tag("v2")], str(layout))
    assert load(layout, other, "v2", platform=ARM64).descriptor.digest == second.digest
    with pytest.raises(NotFound, match=r"no image with the tag 'latest' in the layout \(it has v1, v2\)"):
        load(layout, other)


def test_the_layout_is_named_by_what_goes_wrong(layout: Path, other: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=rf"^{layout}: no image with the tag 'v3' in the layout \(it has v1\)"):
        load(layout, other, "v3")
    with pytest.raises(NotFound, match=f"^{layout}: no image with the digest"):
        load(layout, other, digest=Digest.of(b"?"))
    with pytest.raises(OcibuildError, match=f"^{tmp_path}/missing: No such file"):
        load(tmp_path / "missing", other)
    with pytest.raises(InvalidDocument, match=f"^{tmp_path}: "):
        load(tmp_path, other)


@pytest.mark.parametrize("part", ["config", "layer"])
def test_a_damaged_blob_is_refused(layout: Path, other: Store, store: Store, image: Descriptor, part: str) -> None:
    manifest = json.loads(store.blobs.read(image.digest))
    descriptor = manifest["config"] if part == "config" else manifest["layers"][0]
    path = layout / "blobs/sha256" / descriptor["digest"].removeprefix("sha256:")
    path.write_bytes(b"x" * descriptor["size"])
    with pytest.raises(DigestMismatch):
        load(layout, other)
    assert not other.blobs.has(Digest.parse(descriptor["digest"]))
    path.unlink()
    with pytest.raises(InvalidDocument, match="is not there"):
        load(layout, other)


def test_an_index_without_the_platform_is_refused(layout: Path, other: Store, store: Store, image: Descriptor) -> None:
    manifests = [{**image.to_json(), "platform": {"os": "linux", "architecture": "s390x"}}]
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}
    nested = store.blobs.put(json.dumps(index).encode(), "application/vnd.oci.image.index.v1+json")
    shutil.copy(store.blobs.path(nested.digest), layout / "blobs/sha256" / nested.digest.encoded)
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [nested.to_json()]}))
    with pytest.raises(NoMatchingPlatform, match="no image for linux/amd64"):
        load(layout, other)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schemaVersion": 2, "manifests": [{}]}'])
def test_a_wrong_index_is_refused(layout: Path, other: Store, text: str) -> None:
    (layout / "index.json").write_text(text)
    with pytest.raises(OcibuildError, match=f"^{layout}: "):
        load(layout, other)
