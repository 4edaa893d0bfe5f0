from __future__ import annotations

from dataclasses import replace

import pytest

from ocibuild.cache.record import annotated, manifest_of, record_for, records_in, tag_of
from ocibuild.errors import OcibuildError
from ocibuild.oci import Descriptor, DiffID, Digest, Manifest, mediatypes, parse_manifest
from ocibuild.store import Layer, LayerRecord

_KEY, _OTHER = Digest.of(b"key"), Digest.of(b"other")
_BLOB = Descriptor(mediatypes.OCI_LAYER_GZIP, Digest.of(b"blob"), 4)
_RECORD = LayerRecord(_KEY, Layer(DiffID(Digest.of(b"plain")), _BLOB), "2026-01-31T12:00:00.5Z")


def test_a_record_comes_back_from_its_manifest() -> None:
    document = parse_manifest(manifest_of(_RECORD).to_bytes())
    assert record_for(_KEY, document) == _RECORD


def test_an_image_tells_of_its_own_layers_alone() -> None:
    image = Manifest(mediatypes.OCI_MANIFEST, _BLOB, (_BLOB, annotated(_RECORD)))
    assert list(records_in(image)) == [_RECORD]


def test_a_tag_is_as_long_as_a_tag_may_be() -> None:
    assert len(tag_of("t" * 63, _KEY)) == 128


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dev.ocibuild.cache.key", str(_OTHER)),
        ("dev.ocibuild.cache.key", "sha256:short"),
        ("dev.ocibuild.cache.diff-id", "none"),
        ("org.opencontainers.image.created", "yesterday"),
        ("org.opencontainers.image.created", "2026-01-31T12:00:00Z\n"),
    ],
)
def test_what_cannot_be_is_refused(name: str, value: str) -> None:
    layer = annotated(_RECORD).with_annotations({name: value})
    with pytest.raises(OcibuildError):
        record_for(_KEY, replace(manifest_of(_RECORD), layers=(layer,)))


def test_a_blob_that_is_no_layer_is_refused() -> None:
    layer = replace(annotated(_RECORD), media_type="text/plain")
    with pytest.raises(OcibuildError, match="not the media type of a layer"):
        record_for(_KEY, replace(manifest_of(_RECORD), layers=(layer,)))


def test_an_artifact_without_layers_is_refused() -> None:
    with pytest.raises(OcibuildError, match="is none of it"):
        record_for(_KEY, replace(manifest_of(_RECORD), layers=()))
