from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocibuild.errors import InvalidDocument, UnsupportedMediaType
from ocibuild.oci import Descriptor, Digest, Index, Manifest, Platform, mediatypes, parse_manifest
from tests.unit.oci.strategies import garbage

DIGEST = str(Digest.of(b""))
CONFIG = {"mediaType": mediatypes.OCI_CONFIG, "digest": DIGEST, "size": 2}
LAYER = {"mediaType": mediatypes.OCI_LAYER_GZIP, "digest": DIGEST, "size": 3}
MANIFEST: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": mediatypes.OCI_MANIFEST,
    "config": CONFIG,
    "layers": [LAYER, LAYER],
    "annotations": {"a": "b"},
}
INDEX: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": mediatypes.OCI_INDEX,
    "manifests": [
        {
            "mediaType": mediatypes.OCI_MANIFEST,
            "digest": DIGEST,
            "size": 5,
            "platform": {"architecture": "arm64", "os": "linux", "variant": "v8"},
        }
    ],
}


def text(document: Any, **members: Any) -> bytes:
    return json.dumps(document | members).encode()


def test_a_manifest_is_read_with_all_its_members() -> None:
    manifest = parse_manifest(text(MANIFEST, subject=CONFIG, artifactType="a/b"))
    config = Descriptor(mediatypes.OCI_CONFIG, Digest.parse(DIGEST), 2)
    layer = Descriptor(mediatypes.OCI_LAYER_GZIP, Digest.parse(DIGEST), 3)
    assert manifest == Manifest(mediatypes.OCI_MANIFEST, config, (layer, layer), {"a": "b"}, config, "a/b")


def test_an_index_is_read_with_its_platforms() -> None:
    index = parse_manifest(text(INDEX))
    assert isinstance(index, Index)
    assert index.manifests[0].platform == Platform("linux", "arm64", "v8")


@pytest.mark.parametrize("document", [MANIFEST, INDEX], ids=["manifest", "index"])
def test_what_was_read_is_written_as_compact_json_in_the_order_of_the_specification(document: dict[str, Any]) -> None:
    assert parse_manifest(text(document)).to_bytes() == json.dumps(document, separators=(",", ":")).encode()


def test_all_members_of_a_descriptor_are_written_in_the_order_of_the_specification() -> None:
    document = {
        **LAYER,
        "urls": ["https://example.com/layer"],
        "annotations": {"a": "1", "b": "2"},
        "platform": {"architecture": "amd64", "os": "linux"},
        "artifactType": "a/b",
    }
    assert list(Descriptor.from_json(document).to_json().items()) == list(document.items())


def test_annotations_are_added_and_replaced() -> None:
    descriptor = Descriptor.from_json({**LAYER, "annotations": {"a": "1", "b": "1"}})
    assert descriptor.with_annotations({"b": "2", "c": "2"}).annotations == {"a": "1", "b": "2", "c": "2"}
    assert descriptor.annotations == {"a": "1", "b": "1"}
    assert len({descriptor, descriptor.with_annotations({})}) == 1


def test_null_members_are_absent() -> None:
    layer = {**LAYER, "annotations": None, "urls": None, "platform": None, "artifactType": None}
    manifest = parse_manifest(text(MANIFEST, layers=[layer], annotations=None, subject=None, mediaType=None))
    assert manifest.annotations == {}
    assert isinstance(manifest, Manifest)
    assert manifest.layers == (Descriptor(mediatypes.OCI_LAYER_GZIP, Digest.parse(DIGEST), 3),)


@pytest.mark.parametrize(
    ("document", "said", "kind"),
    [
        ({"mediaType": mediatypes.DOCKER_MANIFEST}, None, mediatypes.DOCKER_MANIFEST),
        ({"mediaType": mediatypes.DOCKER_MANIFEST}, mediatypes.DOCKER_MANIFEST, mediatypes.DOCKER_MANIFEST),
        ({"mediaType": None}, mediatypes.DOCKER_MANIFEST, mediatypes.DOCKER_MANIFEST),
        ({"mediaType": None}, mediatypes.OCI_MANIFEST + "; charset=utf-8", mediatypes.OCI_MANIFEST),
        ({"mediaType": None}, None, mediatypes.OCI_MANIFEST),
        ({}, "application/json", mediatypes.OCI_MANIFEST),
    ],
    ids=["its own", "both", "the given one", "with a parameter", "its shape", "a generic one"],
)
def test_the_media_type_is_its_own_then_the_given_one_then_its_shape(
    document: dict[str, Any], said: str | None, kind: str
) -> None:
    assert parse_manifest(text(MANIFEST, **document), said).media_type == kind


def test_an_index_is_known_by_its_shape() -> None:
    assert parse_manifest(text(INDEX, mediaType=None)).media_type == mediatypes.OCI_INDEX


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (text(MANIFEST, manifests=[]), None),
        (text(MANIFEST, manifests=[], mediaType=None), None),
        (text(INDEX, layers=[]), None),
        (text(INDEX, config=CONFIG), None),
        (text(INDEX, layers=[], config=CONFIG, mediaType=None), mediatypes.OCI_MANIFEST),
        (text(MANIFEST), mediatypes.OCI_INDEX),
        (text(INDEX), mediatypes.OCI_MANIFEST),
        (text(INDEX, mediaType=None), mediatypes.OCI_MANIFEST),
        (text(MANIFEST, mediaType=None), mediatypes.OCI_INDEX),
        (text(MANIFEST), mediatypes.DOCKER_MANIFEST),
        (text(MANIFEST, mediaType=mediatypes.OCI_INDEX), None),
    ],
    ids=[
        "manifest with manifests",
        "untyped with both",
        "index with layers",
        "index with a config",
        "untyped index with layers",
        "manifest said to be an index",
        "index said to be a manifest",
        "untyped index said to be a manifest",
        "untyped manifest said to be an index",
        "oci said to be docker",
        "typed as the other",
    ],
)
@pytest.mark.parametrize("trusted", [False, True])
def test_a_document_that_two_readers_could_read_differently_is_refused(
    document: bytes, said: str | None, trusted: bool
) -> None:
    with pytest.raises(InvalidDocument):
        parse_manifest(document, said, trusted=trusted)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b'{"schemaVersion": 1, "fsLayers": []}', None),
        (b'{"schemaVersion": 1}', None),
        (text(MANIFEST, fsLayers=[]), None),
        (text(MANIFEST, mediaType=mediatypes.DOCKER_SCHEMA1), None),
        (text(MANIFEST, mediaType=None), mediatypes.DOCKER_SCHEMA1_SIGNED),
    ],
    ids=["its layers", "its version", "smuggled", "its own type", "the given type"],
)
def test_schema_1_is_refused_by_name(document: bytes, said: str | None) -> None:
    with pytest.raises(UnsupportedMediaType, match="schema 1"):
        parse_manifest(document, said)


def test_an_unknown_kind_of_manifest_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedMediaType, match=r"oci\.artifact\.manifest"):
        parse_manifest(text(MANIFEST, mediaType="application/vnd.oci.artifact.manifest.v1+json"))
    with pytest.raises(UnsupportedMediaType, match="text/html"):
        parse_manifest(text(MANIFEST), "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"\xff\xfe{\x00}\x00", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"schemaVersion": NaN}', "NaN"),
        (b'{"schemaVersion": -Infinity}', "Infinity"),
        (b'{"schemaVersion": 2, "schemaVersion": 2}', "'schemaVersion' is given twice"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a": "\\ud800"}', "not Unicode"),
        (b'{"\\udfff": 1}', "not Unicode"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested deeper than 64"),
        (b'{"a": "' + b"x" * (16 << 20) + b'"}', "more than the limit"),
        (b"{}", "'schemaVersion' is a required property"),
        (text(MANIFEST, schemaVersion=3), "schemaVersion: 2 was expected"),
        (text(MANIFEST, schemaVersion="2"), "schemaVersion: 2 was expected"),
        (text(MANIFEST, layers=None), "'layers' is a required property"),
        (text(MANIFEST, layers={}), "layers: {} is not of type 'array'"),
        (text(MANIFEST, layers=[None]), r"layers\[0\]: None is not of type 'object'"),
        (text(MANIFEST, Layers=[]), "the member 'Layers' is spelt 'layers'"),
        (text({**MANIFEST, "layer\u017f": []}), "is spelt 'layers'"),
        (text(INDEX, FSLayers=[]), "is spelt 'fsLayers'"),
        (text(MANIFEST, config=None), "'config' is a required property"),
        (text(MANIFEST, mediaType=5), "mediaType: 5 is not a string"),
        (text(MANIFEST, annotations={"a": 1}), "annotations.a: 1 is not of type 'string'"),
        (text(MANIFEST, annotations={"a b": None}), r"annotations\['a b'\]: None"),
        (
            text(MANIFEST, layers=[LAYER, LAYER, {**LAYER, "size": -1}]),
            r"^manifest: layers\[2\].size: -1 is less than the minimum of 0$",
        ),
        (text(MANIFEST, layers=[{**LAYER, "size": 2**63}]), "greater than the maximum"),
        (text(MANIFEST, layers=[{**LAYER, "size": 1.0}]), "1.0 is not of type 'integer'"),
        (text(MANIFEST, layers=[{**LAYER, "size": True}]), "True is not of type 'integer'"),
        (text(MANIFEST, layers=[{**LAYER, "mediaType": "tar"}]), r"layers\[0\].mediaType: 'tar' does not match"),
        (text(MANIFEST, layers=[{**LAYER, "mediaType": "a/b\n"}]), r"mediaType: 'a/b\\n' does not match"),
        (text(MANIFEST, layers=[{**LAYER, "digest": DIGEST + "\n"}]), r"digest: .* does not match"),
        (text(MANIFEST, layers=[{**LAYER, "digest": "sha256:../../x"}]), r"digest: .* does not match"),
        (text(MANIFEST, layers=[{**LAYER, "digest": "sha256:abc"}]), r"digest: .* does not match"),
        (text(MANIFEST, layers=[{**LAYER, "digest": "blake3:abc"}]), "'blake3' is not supported"),
        (text(MANIFEST, config={**CONFIG, "mediaType": mediatypes.OCI_EMPTY}), "'artifactType' is a required"),
        (text(INDEX, manifests=[{**LAYER, "platform": {"os": "linux"}}]), "index: .*'architecture' is a required"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_manifest_is_refused_with_the_place_of_the_fault(document: bytes, message: str) -> None:
    with pytest.raises(InvalidDocument, match=message) as caught:
        parse_manifest(document)
    assert len(str(caught.value)) < 500
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("trusted", [False, True])
@settings(deadline=None)  # the first example imports jsonschema
@given(data=st.data())
def test_any_bytes_are_a_manifest_or_refused(trusted: bool, data: st.DataObject) -> None:
    document = data.draw(garbage(MANIFEST) | garbage(INDEX))
    try:
        manifest = parse_manifest(document, trusted=trusted)
    except InvalidDocument:
        return
    except UnsupportedMediaType:
        return  # by name: an edited mediaType, or one of schema 1
    if not trusted:
        assert parse_manifest(manifest.to_bytes()) == manifest


def test_a_manifest_that_makes_no_sense_does_not_leave() -> None:
    config = Descriptor(mediatypes.OCI_CONFIG, Digest.parse(DIGEST), -1)
    with pytest.raises(InvalidDocument, match=r"config\.size"):
        Manifest(mediatypes.OCI_MANIFEST, config, ()).to_bytes()
    with pytest.raises(InvalidDocument, match="mediaType"):
        Index("text/plain", ()).to_bytes()
    with pytest.raises(InvalidDocument, match="not UTF-8"):
        Index(mediatypes.OCI_INDEX, (), {"a": "\udcff"}).to_bytes()


def test_the_order_of_annotations_does_not_change_the_bytes() -> None:
    one = Index(mediatypes.OCI_INDEX, (), {"a": "1", "b": "2"})
    other = Index(mediatypes.OCI_INDEX, (), {"b": "2", "a": "1"})
    assert one.to_bytes() == other.to_bytes()
