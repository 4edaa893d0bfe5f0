from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ocibuild.oci import (
    Descriptor,
    DiffID,
    Digest,
    History,
    ImageConfig,
    Platform,
    Reference,
    RunConfig,
    mediatypes,
    parse_manifest,
)
from ocibuild.output import assemble, describe_history, describe_image, write_image
from ocibuild.store import Layer, Store, load_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

AMD64 = Platform("linux", "amd64")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


def layer(name: str, media_type: str = mediatypes.OCI_LAYER_GZIP) -> Layer:
    digest = Digest.of(name.encode())
    return Layer(DiffID(digest), Descriptor(media_type, digest, len(name)))


def config(*history: History, created: str | None = None) -> ImageConfig:
    return ImageConfig(AMD64, created=created, config=RunConfig(cmd=("sh",)), history=history)


def entries(text: str) -> tuple[History, ...]:
    """Return an entry for each letter: ``L`` makes a layer, ``e`` does not."""
    return tuple(History(created_by=f"{n}", empty_layer=letter == "e") for n, letter in enumerate(text))


@pytest.mark.parametrize(
    ("inherited", "own", "created", "expected"),
    [
        ("", "L", ["t1"], ["t1"]),
        ("", "LL", ["t1", "t2"], ["t1", "t2"]),
        ("", "eLeeLe", ["t1", "t2"], ["t1", "t1", "t1", "t1", "t2", "t2"]),
        ("", "ee", [], [None, None]),
        ("", "", [], []),
        ("LeL", "eL", ["t1"], ["b0", "b1", "b2", "t1", "t1"]),
        ("L", "ee", [], ["b0", "b0", "b0"]),
        ("L", "L", [], ["b0", "b0"]),
        ("", "LL", ["t1"], ["t1", "t1"]),
    ],
)
def test_history_gets_the_times_of_layers(
    inherited: str, own: str, created: Sequence[str], expected: Sequence[str | None]
) -> None:
    base = tuple(
        History(created=f"b{n}", created_by="base", empty_layer=letter == "e") for n, letter in enumerate(inherited)
    )
    layers = [layer(str(n)) for n in range((inherited + own).count("L"))]
    found = assemble(config(*base, *entries(own)), len(base), layers, created)
    assert [entry.created for entry in found.history] == expected
    assert found.created == (expected[-1] if expected else None)
    assert found.diff_ids == tuple(one.diff_id for one in layers)
    assert [entry.empty_layer for entry in found.history] == [letter == "e" for letter in inherited + own]


def test_a_time_that_the_build_was_given_stays() -> None:
    own = tuple(replace(entry, created="given") for entry in entries("Le"))
    base = History(created="b0", created_by="base")
    found = assemble(config(base, *own, created="given"), 1, [layer("a"), layer("b")], ["t1"])
    assert [entry.created for entry in found.history] == ["b0", "given", "given"]
    assert found.created == "given"


def test_the_base_keeps_its_own_times_and_gives_its_own_to_what_makes_no_layer() -> None:
    base = History(created="2020", created_by="base")
    found = assemble(config(base, *entries("e"), created="2021"), 1, [layer("a")], [])
    assert [entry.created for entry in found.history] == ["2020", "2021"]


def test_an_image_is_written_with_its_annotations_and_oci_layers(store: Store) -> None:
    docker = layer("docker", mediatypes.DOCKER_LAYER_GZIP)
    image = assemble(config(*entries("LL")), 0, [docker, layer("own")], ["2020-01-01T00:00:00Z"] * 2)
    descriptor = write_image(store.blobs, image, [docker.descriptor, layer("own").descriptor], {"a": "b"})
    manifest = parse_manifest(store.blobs.read(descriptor.digest))
    assert descriptor.platform == AMD64
    assert [one.media_type for one in manifest.layers] == [mediatypes.OCI_LAYER_GZIP] * 2  # type: ignore[union-attr]
    assert manifest.annotations == {"a": "b"}
    assert write_image(store.blobs, image, [docker.descriptor, layer("own").descriptor], {"a": "b"}) == descriptor


def test_an_image_is_described_with_dockers_names(store: Store) -> None:
    layers = [layer("base"), layer("own layer")]
    image = assemble(config(*entries("LeL")), 0, layers, ["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"])
    stored = load_image(
        store.blobs, write_image(store.blobs, image, [one.descriptor for one in layers], {}).digest, AMD64
    )
    names = [Reference.parse("one"), Reference.parse("one:2"), Reference.parse("host.example/two:3")]
    shown = describe_image(stored, names)
    digest = stored.descriptor.digest
    assert shown["RepoTags"] == ["one:latest", "one:2", "host.example/two:3"]
    assert shown["RepoDigests"] == [f"host.example/two@{digest}", f"one@{digest}"]
    assert shown["Size"] == stored.size == stored.manifest.config.size + 4 + 9
    assert shown["Created"] == "2021-01-01T00:00:00Z"
    assert shown["RootFS"]["Layers"] == [one.diff_id for one in layers]
    rows = describe_history(stored)
    assert [(row["CreatedBy"], row["Size"]) for row in rows] == [("2", 9), ("1", 0), ("0", 4)]
    assert [row["Id"] == stored.manifest.config.digest for row in rows] == [True, False, False]
