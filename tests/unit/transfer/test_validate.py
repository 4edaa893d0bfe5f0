"""Images validated where they are."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from demo.registry import Service, serve
from ocibuild.errors import NotFound, Unauthorized
from ocibuild.oci import Descriptor, Reference, parse_manifest
from ocibuild.registry import Credentials, Registry, RegistryConfig
from ocibuild.store import Store
from ocibuild.transfer import Ends, parse_location, push
from ocibuild.transfer.validate import validate_location
from tests.unit.archive.images import put_image, write_oci_layout
from tests.unit.registry.scripts import refuse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocibuild.archive import Report


class Lab:
    """An image in a store, and pushed to a registry."""

    def __init__(self, folder: Path, store: Store, service: Service, registry: Registry) -> None:
        self.store = store
        self.service = service
        self.ends = Ends(lambda: registry, lambda: store)
        self.image = put_image(store, folder / "trees", trees=[{"one": b"one"}, {"two": b"two"}])
        self.reference = Reference.parse(f"{service.address}/team/app:1")
        push(registry, store, self.image, [self.reference], progress=lambda *_: None)

    def report(self, location: str = "", *, all_faults: bool = True) -> Report:
        place = parse_location(location or f"docker://{self.reference}")
        return validate_location(self.ends, place, all_faults=all_faults)

    def layers(self) -> tuple[Descriptor, ...]:
        document = parse_manifest(self.store.blobs.read(self.image.digest))
        return document.layers  # type: ignore[union-attr]

    def damage(self, digest: str, data: bytes) -> None:
        """Have the registry give other bytes for a blob."""
        key = next(key for key in self.service.files.keys("") if digest.partition(":")[2] in key and "blobs" in key)
        self.service.files.put(key, data)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with (
        serve() as service,
        Store.open(str(tmp_path / "store")) as store,
        Registry(RegistryConfig(), Credentials()) as registry,
    ):
        yield Lab(tmp_path, store, service, registry)


def test_an_image_of_a_registry_is_sound(lab: Lab) -> None:
    report = lab.report()
    assert report.valid
    assert report.blobs == 4, "manifest, config, and two layers"


def test_every_damaged_layer_is_told_of(lab: Lab) -> None:
    for layer in lab.layers():
        lab.damage(layer.digest, b"x" * layer.size)
    assert [fault.what.partition(" sha256")[0] for fault in lab.report().faults] == ["its content has the digest"] * 2
    assert len(lab.report(all_faults=False).faults) == 1


def test_a_layer_of_another_size_is_told_of(lab: Lab) -> None:
    layer = lab.layers()[0]
    lab.damage(layer.digest, b"short")
    (fault,) = lab.report().faults
    assert f"layer 1 {layer.digest}" in fault.where


def test_a_blob_that_a_registry_has_not_is_a_fault(lab: Lab) -> None:
    layer = lab.layers()[0]
    lab.service.intercept = lambda handler: (
        layer.digest in handler.path and refuse(handler, 404, "BLOB_UNKNOWN", "gone")
    )
    (fault,) = lab.report().faults
    assert "not found" in str(fault)


def test_a_registry_that_fails_says_nothing_of_the_image(lab: Lab) -> None:
    layer = lab.layers()[1]
    lab.service.intercept = lambda handler: layer.digest in handler.path and refuse(handler, 403, "DENIED", "not you")
    with pytest.raises(Unauthorized):
        lab.report()


def test_what_is_nowhere_is_an_error(lab: Lab) -> None:
    with pytest.raises(NotFound):
        lab.report(f"docker://{lab.service.address}/team/other:1")


def test_any_place_that_is_copied_from_can_be_validated(lab: Lab, tmp_path: Path) -> None:
    write_oci_layout(lab.store.blobs, lab.image, [Reference.parse("app:1")], str(tmp_path / "layout"))
    assert lab.report(f"oci:{tmp_path}/layout").valid
    manifest = json.loads((tmp_path / "layout/index.json").read_text())["manifests"][0]
    entry = tmp_path / "layout/blobs/sha256" / lab.layers()[1].digest.partition(":")[2]
    shutil.copy(entry, tmp_path / "kept")
    with entry.open("ab") as blob:
        blob.write(b"more")
    assert manifest["digest"] == lab.image.digest
    (fault,) = lab.report(f"oci:{tmp_path}/layout").faults
    assert "layer 2" in fault.where
    (tmp_path / "layout/index.json").write_text("{")
    assert not lab.report(f"oci:{tmp_path}/layout").valid
