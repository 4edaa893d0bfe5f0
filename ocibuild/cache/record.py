"""The form of a cache: a descriptor with annotations that say which step gave the layer, alone or in an image.

In a registry or a layout each key has a manifest of its own, under a tag made of the cache's tag and the key, so that
many can write to one repository without a lock::

    {"artifactType": "application/vnd.ocibuild.cache.v1", "config": {…empty…}, "layers": [
        {…the layer…, "annotations": {
            "dev.ocibuild.cache.key": "sha256:…", "dev.ocibuild.cache.diff-id": "sha256:…",
            "org.opencontainers.image.created": "2026-01-31T12:00:00Z"}}]}

An inline cache has the same annotations in the manifest of the image. See image-spec, manifest.md, "Guidelines for
Artifact Usage".
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ocibuild.errors import InvalidDocument
from ocibuild.oci import Descriptor, DiffID, Digest, Manifest, is_layer, mediatypes
from ocibuild.store import Layer, LayerRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.oci import Index

ARTIFACT_TYPE: Final = "application/vnd.ocibuild.cache.v1"
EMPTY: Final = b"{}"
"""The config of an artifact that has none."""
EMPTY_CONFIG: Final = Descriptor(mediatypes.OCI_EMPTY, Digest.of(EMPTY), len(EMPTY))

_KEY, _DIFF_ID = "dev.ocibuild.cache.key", "dev.ocibuild.cache.diff-id"
_CREATED = "org.opencontainers.image.created"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")


def tag_of(prefix: str, key: Digest) -> str:
    """Return the tag of a key in the cache that has the tag ``prefix``."""
    return f"{prefix}-{key.encoded}"


def annotated(record: LayerRecord) -> Descriptor:
    """Return the descriptor of a layer that says which step gave it."""
    known = {_KEY: record.key, _DIFF_ID: record.layer.diff_id, _CREATED: record.created}
    return replace(record.layer.descriptor, annotations=known)


def manifest_of(record: LayerRecord) -> Manifest:
    """Return the manifest that stands for a key."""
    return Manifest(mediatypes.OCI_MANIFEST, EMPTY_CONFIG, (annotated(record),), artifact_type=ARTIFACT_TYPE)


def records_in(document: Manifest | Index) -> Iterator[LayerRecord]:
    """Yield what a manifest tells of steps; raise InvalidDocument where it tells what cannot be."""
    for layer in document.layers if isinstance(document, Manifest) else ():
        if _KEY in layer.annotations:
            yield _record(layer)


def record_for(key: Digest, document: Manifest | Index) -> LayerRecord:
    """Return what a manifest tells of the step that ``key`` means; raise InvalidDocument where it is another's."""
    record = next(records_in(document), None)
    if record is None or record.key != key:
        raise InvalidDocument(f"what is kept for {key} is none of it")
    return record


def _record(layer: Descriptor) -> LayerRecord:
    known = layer.annotations
    if not is_layer(layer.media_type):
        raise InvalidDocument(f"{layer.media_type!r:.160} is not the media type of a layer")
    if not _TIME.fullmatch(known.get(_CREATED, "")):
        raise InvalidDocument(f"{layer.digest}: the time at which it was made is missing or wrong")
    key, diff_id = Digest.parse(known[_KEY]), DiffID(Digest.parse(known.get(_DIFF_ID, "")))
    return LayerRecord(key, Layer(diff_id, replace(layer, annotations={})), known[_CREATED])
