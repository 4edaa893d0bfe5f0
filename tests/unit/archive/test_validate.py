from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocibuild.archive import validate_path, validate_stored
from ocibuild.oci import (
    Compression,
    Descriptor,
    DiffID,
    Digest,
    History,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    Reference,
    mediatypes,
    parse_manifest,
)
from ocibuild.store import Layer
from tests.support.privileges import bound_by_permissions
from tests.unit.archive.images import AMD64, ARM64, put_image, put_index, put_layer, write_oci_archive, write_oci_layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.archive import Report
    from ocibuild.store import Store

WRONG = DiffID(Digest.of(b"something else"))


@pytest.fixture
def layout(store: Store, image: Descriptor, tmp_path: Path) -> Path:
    write_oci_layout(store.blobs, image, [Reference.parse("app")], str(tmp_path / "layout"))
    return tmp_path / "layout"


def read_manifest(store: Store, image: Descriptor) -> Manifest:
    document = parse_manifest(store.blobs.read(image.digest))
    assert isinstance(document, Manifest)
    return document


def report_of(store: Store, image: Descriptor, tmp_path: Path, *, all_faults: bool = True) -> Report:
    """Write the image as an archive and validate that."""
    path = str(tmp_path / "app.tar")
    write_oci_archive(store.blobs, image, [], path)
    return validate_path(path, all_faults=all_faults)


def lines(report: Report) -> list[str]:
    """Return the faults without the folder of the test in them."""
    folder = os.path.dirname(report.subject)
    return [str(fault).removeprefix(f"{folder}/") for fault in report.faults]


def raw_image(store: Store, config: Any, **members: Any) -> Descriptor:
    """Put an image with this config and these members of its manifest, unchecked, into the store."""
    data = config if isinstance(config, bytes) else json.dumps(config).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": store.blobs.put(data, mediatypes.OCI_CONFIG).to_json(),
        "layers": [],
    }
    return store.blobs.put(json.dumps(document | members).encode(), mediatypes.OCI_MANIFEST)


@pytest.mark.parametrize("compression", list(Compression))
def test_image_that_we_wrote_is_valid(compression: Compression, store: Store, tmp_path: Path) -> None:
    image = put_image(store, tmp_path / "trees", compression=compression)
    report = report_of(store, image, tmp_path)
    assert report.to_json() == {
        "subject": str(tmp_path / "app.tar"),
        "valid": True,
        "blobs": 4,
        "size": sum(store.blobs.size(digest) for digest in store.blobs),
        "faults": [],
    }


def test_image_of_the_store_is_validated(store: Store, image: Descriptor) -> None:
    assert validate_stored(store, image, subject="app").valid
    layer = read_manifest(store, image).layers[0].digest
    os.unlink(store.blobs.path(layer))
    report = validate_stored(store, image, subject="app")
    assert [str(fault) for fault in report.faults] == [f"app: layer 1 {layer}: it is not there"]


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_byte_changed_in_any_blob_is_found(data: st.DataObject, layout: Path) -> None:
    blobs = sorted((layout / "blobs" / "sha256").iterdir())
    blob = data.draw(st.sampled_from(blobs))
    whole = blob.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(1, 255))
    try:
        blob.write_bytes(whole[:at] + bytes([whole[at] ^ other]) + whole[at + 1 :])
        report = validate_path(str(layout))
        assert len(report.faults) == 1
        assert f"sha256:{blob.name}: its content has the digest sha256:" in str(report.faults[0])
    finally:
        blob.write_bytes(whole)
    assert validate_path(str(layout)).valid


def test_line_names_archive_layer_and_both_digests(store: Store, image: Descriptor, tmp_path: Path) -> None:
    layer = read_manifest(store, image).layers[1]
    path = store.blobs.path(layer.digest)
    content = bytearray(store.blobs.read(layer.digest))
    content[-1] ^= 1
    Path(path).write_bytes(content)
    assert lines(report_of(store, image, tmp_path)) == [
        f"app.tar: layer 2 {layer.digest}: its content has the digest {Digest.of(bytes(content))}"
    ]


def test_wrong_diff_id_gives_both(store: Store, tmp_path: Path) -> None:
    good = put_layer(store, tmp_path / "a", {"a": b"a"})
    image = put_image(store, tmp_path, layers=[good, good], diff_ids=[good.diff_id, WRONG])
    assert lines(report_of(store, image, tmp_path)) == [
        f"app.tar: layer 2 {good.descriptor.digest}: its tar has the digest {good.diff_id}, and the config says {WRONG}"
    ]


def test_numbers_of_diff_ids_and_history_are_compared(store: Store, tmp_path: Path) -> None:
    layer = put_layer(store, tmp_path / "a", {"a": b"a"})
    image = put_image(store, tmp_path, layers=[layer], diff_ids=[layer.diff_id] * 2, history=[History(), History()])
    config = read_manifest(store, image).config.digest
    assert lines(report_of(store, image, tmp_path)) == [
        f"app.tar: config {config}: it has 2 diff IDs, and the manifest 1 layers",
        f"app.tar: config {config}: its history makes 2 layers, and the manifest has 1",
    ]


def test_config_without_history_is_valid(store: Store, tmp_path: Path) -> None:
    layer = put_layer(store, tmp_path / "a", {"a": b"a"})
    assert report_of(store, put_image(store, tmp_path, layers=[layer], history=[]), tmp_path).valid


def test_first_fault_or_all(store: Store, tmp_path: Path) -> None:
    layer = put_layer(store, tmp_path / "a", {"a": b"a"})
    image = put_image(store, tmp_path, layers=[layer, layer], diff_ids=[WRONG, WRONG])
    assert len(report_of(store, image, tmp_path, all_faults=False).faults) == 1
    assert len(report_of(store, image, tmp_path, all_faults=True).faults) == 2


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        ({"os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}, "'architecture' is a required property"),
        (
            {
                "os": "linux",
                "architecture": "amd64",
                "rootfs": {"type": "layers", "diff_ids": ["md5:1"]},
                "created": "now",
            },
            "created: 'now' does not match",
        ),
        ({"os": 1, "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}, "os: 1 is not of type"),
    ],
    ids=["json", "list", "missing", "created", "type"],
)
def test_config_that_breaks_its_schema_gives_the_place(config: Any, message: str, store: Store, tmp_path: Path) -> None:
    image = raw_image(store, config)
    found = lines(report_of(store, image, tmp_path))
    digest = read_manifest(store, image).config.digest
    assert len(found) == 1
    assert found[0].startswith(f"app.tar: config {digest}: {message}")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"schemaVersion": 1}, "schema 1"),
        (
            {"layers": [{"mediaType": "a/b", "digest": "sha256:" + "0" * 64, "size": -1}]},
            "layers[0].size: -1 is less than",
        ),
        ({"manifests": []}, "it has the member 'manifests'"),
        ({"mediaType": mediatypes.OCI_INDEX}, "its mediaType is"),
    ],
    ids=["schema-1", "size", "two-faces", "contradiction"],
)
def test_manifest_that_breaks_its_schema_gives_the_place(
    members: dict[str, Any], message: str, store: Store, layout: Path
) -> None:
    image = raw_image(store, {}, **members)
    blob = layout / "blobs" / "sha256" / image.digest.encoded
    blob.write_bytes(store.blobs.read(image.digest))
    (layout / "index.json").write_bytes(Index(mediatypes.OCI_INDEX, (image,)).to_bytes())
    found = lines(validate_path(str(layout), all_faults=True))
    assert len(found) == 1
    assert found[0].startswith(f"layout: manifest {image.digest}: ")
    assert message in found[0]


def remove(name: str) -> Callable[[Path], None]:
    return lambda layout: (layout / name).unlink()


def write(name: str, content: bytes) -> Callable[[Path], None]:
    def act(layout: Path) -> None:
        (layout / name).write_bytes(content)

    return act


def link(name: str) -> Callable[[Path], None]:
    def act(layout: Path) -> None:
        (layout / name).rename(layout / "elsewhere")
        (layout / name).symlink_to(layout / "elsewhere")

    return act


@pytest.mark.parametrize(
    ("act", "line"),
    [
        (remove("oci-layout"), "layout: oci-layout: it is not there"),
        (remove("index.json"), "layout: index.json: it is not there"),
        (write("oci-layout", b"1.0.0"), "layout: oci-layout: not JSON"),
        (write("oci-layout", b"["), "layout: oci-layout: not JSON"),
        (
            write("oci-layout", b'{"imageLayoutVersion":"9"}'),
            "layout: oci-layout: imageLayoutVersion: '1.0.0' was expected",
        ),
        (write("index.json", b"{}"), "layout: index.json: 'schemaVersion' is a required property"),
        (write("index.json", b'{"schemaVersion":2,"manifests":[{}]}'), "layout: index.json: manifests[0]: "),
        (link("index.json"), "layout: index.json: it is not a regular file"),
        (lambda layout: os.truncate(layout / "index.json", 20 << 20), "layout: index.json: it has 20971520 bytes"),
    ],
    ids=["no-header", "no-index", "header-json", "header-list", "version", "empty-index", "entry", "symlink", "huge"],
)
def test_layout_without_its_documents_gets_a_line(act: Callable[[Path], None], line: str, layout: Path) -> None:
    act(layout)
    found = lines(validate_path(str(layout), all_faults=True))
    assert len(found) == 1
    assert found[0].startswith(line)


def test_missing_and_linked_and_longer_blobs_each_get_a_line(store: Store, image: Descriptor, layout: Path) -> None:
    manifest = read_manifest(store, image)
    blobs = layout / "blobs" / "sha256"
    first, second = (layer.digest for layer in manifest.layers)
    size = manifest.layers[0].size
    (blobs / manifest.config.digest.encoded).unlink()
    with (blobs / first.encoded).open("ab") as file:
        file.write(b"\0")
    (blobs / second.encoded).rename(layout / "elsewhere")
    (blobs / second.encoded).symlink_to(layout / "elsewhere")
    assert lines(validate_path(str(layout), all_faults=True)) == [
        f"layout: config {manifest.config.digest}: it is not there",
        f"layout: layer 1 {first}: it has {size + 1} bytes, and its descriptor says {size}",
        f"layout: layer 2 {second}: it is not a regular file",
    ]


def test_blob_that_may_not_be_read_gets_a_line(image: Descriptor, layout: Path) -> None:
    (layout / "blobs" / "sha256" / image.digest.encoded).chmod(0)
    with bound_by_permissions():
        assert lines(validate_path(str(layout))) == [
            f"layout: manifest {image.digest}: it cannot be read: Permission denied"
        ]


@pytest.mark.parametrize(
    ("content", "media_type", "message"),
    [
        (b"no gzip at all, but long enough to tell", mediatypes.OCI_LAYER_GZIP, "not gzip, or damaged"),
        (b"no zstd at all", mediatypes.OCI_LAYER_ZSTD, "not zstd"),
        (b"no tar" * 200, mediatypes.OCI_LAYER, "in place of a number"),
        (b"plain", "application/x-unknown", "'application/x-unknown' is not the media type of a layer"),
    ],
    ids=["gzip", "zstd", "tar", "type"],
)
def test_layer_that_is_none_gets_a_line(
    content: bytes, media_type: str, message: str, store: Store, tmp_path: Path
) -> None:
    blob = store.blobs.put(content, media_type)
    layer = Layer(DiffID(Digest.of(content)), blob)
    found = lines(report_of(store, put_image(store, tmp_path, layers=[layer]), tmp_path))
    assert len(found) == 1
    assert found[0].startswith(f"app.tar: layer 1 {blob.digest}: ")
    assert message in found[0]


def test_gzip_cut_short_gets_a_line(store: Store, tmp_path: Path) -> None:
    whole = put_layer(store, tmp_path / "a", {"a": bytes(range(256)) * 64})
    cut = store.blobs.put(store.blobs.read(whole.descriptor.digest)[:-9], mediatypes.OCI_LAYER_GZIP)
    image = put_image(store, tmp_path, layers=[Layer(whole.diff_id, cut)])
    assert lines(report_of(store, image, tmp_path)) == [
        f"app.tar: layer 1 {cut.digest}: the gzip stream ends too early"
    ]


def test_bytes_after_the_tar_count_for_the_diff_id(store: Store, tmp_path: Path) -> None:
    plain = put_layer(store, tmp_path / "a", {"a": b"a"}, Compression.NONE)
    longer = store.blobs.put(store.blobs.read(plain.descriptor.digest) + bytes(10 << 10), mediatypes.OCI_LAYER)
    good = put_image(store, tmp_path, layers=[Layer(DiffID(longer.digest), longer)])
    assert report_of(store, good, tmp_path).valid
    bad = put_image(store, tmp_path, layers=[Layer(plain.diff_id, longer)])
    assert "its tar has the digest" in lines(report_of(store, bad, tmp_path))[0]


def test_unknown_config_type_gets_a_line_unless_it_is_an_artifact(store: Store, tmp_path: Path) -> None:
    config = store.blobs.put(b"{}", "application/vnd.example.config+json")
    chart = store.blobs.put(b"chart", "application/x-chart")
    manifest = Manifest(mediatypes.OCI_MANIFEST, config, (chart,))
    image = store.blobs.put(manifest.to_bytes(), mediatypes.OCI_MANIFEST)
    found = lines(report_of(store, image, tmp_path))
    assert found[0] == (
        f"app.tar: config {config.digest}: "
        "'application/vnd.example.config+json' is not the media type of an image config"
    )
    artifact = replace(manifest, artifact_type="application/x-chart")
    assert report_of(store, store.blobs.put(artifact.to_bytes(), mediatypes.OCI_MANIFEST), tmp_path).valid


def test_image_does_not_hide_behind_an_artifact_type(store: Store, image: Descriptor, tmp_path: Path) -> None:
    manifest = replace(read_manifest(store, image), artifact_type="application/x-mine")
    layer = store.blobs.put(b"no layer", mediatypes.OCI_LAYER_GZIP)
    manifest = replace(manifest, layers=(manifest.layers[0], layer))
    bad = store.blobs.put(manifest.to_bytes(), mediatypes.OCI_MANIFEST)
    assert not report_of(store, bad, tmp_path).valid


def test_attestation_may_have_any_layers_but_sound_ones(store: Store, image: Descriptor, tmp_path: Path) -> None:
    statement = store.blobs.put(b'{"_type":"in-toto"}', "application/vnd.in-toto+json")
    config = store.blobs.put(
        ImageConfig(Platform("unknown", "unknown"), diff_ids=(DiffID(statement.digest),)).to_bytes(),
        mediatypes.OCI_CONFIG,
    )
    manifest = Manifest(mediatypes.OCI_MANIFEST, config, (statement,))
    attestation = store.blobs.put(manifest.to_bytes(), mediatypes.OCI_MANIFEST)
    index = put_index(store, {AMD64: image, Platform("unknown", "unknown"): attestation})
    report = report_of(store, index, tmp_path)
    assert report.faults == ()
    assert report.blobs == 8
    Path(store.blobs.path(statement.digest)).write_bytes(b'{"_type":"in-tOto"}')
    assert lines(report_of(store, index, tmp_path))[0].startswith(f"app.tar: blob {statement.digest}: its content")


def test_foreign_layer_may_be_elsewhere(store: Store, tmp_path: Path) -> None:
    own = put_layer(store, tmp_path / "a", {"a": b"a"})
    elsewhere = Digest.of(b"elsewhere")
    foreign = Descriptor(mediatypes.OCI_NONDISTRIBUTABLE_LAYER_GZIP, elsewhere, 9, urls=("https://example.org/l",))
    image = put_image(store, tmp_path, layers=[Layer(WRONG, foreign), own])
    assert report_of(store, image, tmp_path).valid


@pytest.mark.parametrize(
    ("said", "actual", "valid"),
    [
        (AMD64, AMD64, True),
        (ARM64, AMD64, False),
        (Platform("windows", "amd64"), AMD64, False),
        (Platform("linux", "arm64", "v8"), ARM64, True),
        (Platform("linux", "arm", "v6"), Platform("linux", "arm"), True),
        (Platform("linux", "arm"), Platform("linux", "arm", "v6"), True),
        (Platform("linux", "arm", "v6"), Platform("linux", "arm", "v7"), False),
        (Platform("linux", "x86_64"), AMD64, True),
    ],
    ids=["same", "architecture", "os", "implied", "config-without", "index-without", "variant", "alias"],
)
def test_platform_of_an_index_is_compared_with_the_config(
    said: Platform, actual: Platform, *, valid: bool, store: Store, tmp_path: Path
) -> None:
    image = put_image(store, tmp_path / "trees", platform=actual)
    found = lines(report_of(store, put_index(store, {said: image}), tmp_path))
    fault = f"app.tar: {said}: manifest {image.digest}: the index says it is for {said}, and its config {actual}"
    assert found == ([] if valid else [fault])


def test_one_manifest_under_two_platforms_is_found(store: Store, image: Descriptor, tmp_path: Path) -> None:
    found = lines(report_of(store, put_index(store, {AMD64: image, ARM64: image}), tmp_path))
    assert len(found) == 1
    assert found[0].startswith(f"app.tar: linux/arm64: manifest {image.digest}: the index says it is for linux/arm64,")


def test_fault_of_one_platform_names_it(store: Store, image: Descriptor, tmp_path: Path) -> None:
    layer = put_layer(store, tmp_path / "a", {"a": b"a"})
    bad = put_image(store, tmp_path, layers=[layer], diff_ids=[WRONG], platform=ARM64)
    found = lines(report_of(store, put_index(store, {AMD64: image, ARM64: bad}), tmp_path))
    assert len(found) == 1
    assert found[0].startswith(f"app.tar: linux/arm64: layer 1 {layer.descriptor.digest}: its tar")


def test_fault_of_one_name_of_several_names_it(store: Store, image: Descriptor, tmp_path: Path) -> None:
    layer = put_layer(store, tmp_path / "a", {"a": b"a"})
    bad = put_image(store, tmp_path, layers=[layer], diff_ids=[WRONG])
    write_oci_layout(store.blobs, image, [Reference.parse("good:1")], str(tmp_path / "layout"))
    write_oci_layout(store.blobs, bad, [Reference.parse("bad:2")], str(tmp_path / "layout"))
    found = lines(validate_path(str(tmp_path / "layout"), all_faults=True))
    assert len(found) == 1
    assert found[0].startswith(f"layout: docker.io/library/bad:2: layer 1 {layer.descriptor.digest}: ")


def test_strange_text_does_not_reach_the_terminal(store: Store, image: Descriptor, tmp_path: Path) -> None:
    evil = Platform("linux\n\x1b[2J", "amd64")
    found = lines(report_of(store, put_index(store, {evil: image}), tmp_path))
    assert len(found) == 1
    assert found[0].isprintable()


def test_indexes_that_share_manifests_are_walked_once(store: Store, image: Descriptor, tmp_path: Path) -> None:
    index = put_index(store, {AMD64: image})
    for depth in range(7):
        index = store.blobs.put(
            Index(mediatypes.OCI_INDEX, (index,) * 50, annotations={"depth": str(depth)}).to_bytes(),
            mediatypes.OCI_INDEX,
        )
    report = report_of(store, index, tmp_path)
    assert report.faults == ()
    assert report.blobs == 12


def test_indexes_nested_too_deeply_get_a_line(store: Store, image: Descriptor, layout: Path) -> None:
    index = image
    for _ in range(10):
        index = store.blobs.put(Index(mediatypes.OCI_INDEX, (index,)).to_bytes(), mediatypes.OCI_INDEX)
        (layout / "blobs" / "sha256" / index.digest.encoded).write_bytes(store.blobs.read(index.digest))
    (layout / "index.json").write_bytes(Index(mediatypes.OCI_INDEX, (index,)).to_bytes())
    found = lines(validate_path(str(layout), all_faults=True))
    assert len(found) == 1
    assert found[0].endswith("more than 8 indexes lie in one another")


def test_same_layer_with_another_size_is_not_taken_for_the_first(store: Store, tmp_path: Path) -> None:
    layer = put_layer(store, tmp_path / "a", {"a": b"a"})
    lying = replace(layer.descriptor, size=layer.descriptor.size + 1)
    image = put_image(store, tmp_path, layers=[layer, Layer(layer.diff_id, lying)])
    write_oci_layout(store.blobs, put_image(store, tmp_path, layers=[layer]), [], str(tmp_path / "layout"))
    blobs = tmp_path / "layout" / "blobs" / "sha256"
    for digest in store.blobs:
        (blobs / digest.encoded).write_bytes(store.blobs.read(digest))
    (tmp_path / "layout" / "index.json").write_bytes(Index(mediatypes.OCI_INDEX, (image,)).to_bytes())
    found = lines(validate_path(str(tmp_path / "layout"), all_faults=True))
    assert found == [
        f"layout: layer 2 {lying.digest}: it has {lying.size - 1} bytes, and its descriptor says {lying.size}"
    ]
