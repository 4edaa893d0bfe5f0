"""Manifests and indexes, and the one door through which they come in."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, TypeAlias

from ocibuild.errors import InvalidDocument, UnsupportedMediaType
from ocibuild.oci import documents, mediatypes
from ocibuild.oci.descriptor import Descriptor
from ocibuild.oci.validation import validate
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCHEMA_VERSION = 2
_MEMBERS = ("schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "fsLayers", "subject")
# What a simple file server says of any manifest: it tells nothing.
_GENERIC = frozenset({"", "application/json", "application/octet-stream", "text/plain"})


@dataclass(frozen=True, slots=True)
class Manifest:
    """The config and the layers of one image, lowest layer first; see image-spec, manifest.md.

    ``subject`` is the manifest that this one is about, ``artifact_type`` says what it is where it is no image.
    """

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    subject: Descriptor | None = None
    artifact_type: str | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any], media_type: str) -> Manifest:
        """Return the manifest that a JSON object is; raises InvalidDocument."""
        return cls(
            media_type=media_type,
            config=Descriptor.from_json(documents.maybe_object(document, "config") or {}),
            layers=tuple(map(Descriptor.from_json, documents.objects(document, "layers"))),
            annotations=documents.string_map(document, "annotations"),
            subject=_subject(document),
            artifact_type=documents.maybe_text(document, "artifactType") or None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the members in the order of the specification, without empty ones."""
        return {
            **_head(self),
            "config": self.config.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
            **_tail(self),
        }

    def to_bytes(self, *, validated: bool = True) -> bytes:
        """Return this manifest as JSON; the same manifest gives the same bytes.

        It is validated unless ``validated`` is False: for a caller that finds the same bytes in the store already.
        """
        document = self.to_json()
        if validated:
            validate(document, "manifest", what="manifest")
        return documents.dumps(document, what="manifest")


@dataclass(frozen=True, slots=True)
class Index:
    """Manifests, mostly by platform (docker: a manifest list); see image-spec, image-index.md."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    subject: Descriptor | None = None
    artifact_type: str | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any], media_type: str) -> Index:
        """Return the index that a JSON object is; raises InvalidDocument."""
        return cls(
            media_type=media_type,
            manifests=tuple(map(Descriptor.from_json, documents.objects(document, "manifests"))),
            annotations=documents.string_map(document, "annotations"),
            subject=_subject(document),
            artifact_type=documents.maybe_text(document, "artifactType") or None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the members in the order of the specification, without empty ones."""
        return {
            **_head(self),
            "manifests": [manifest.to_json() for manifest in self.manifests],
            **_tail(self),
        }

    def to_bytes(self) -> bytes:
        """Return this index as JSON, validated; the same index gives the same bytes."""
        document = self.to_json()
        validate(document, "index", what="index")
        return documents.dumps(document, what="index")


AnyManifest: TypeAlias = Manifest | Index


def parse_manifest(data: bytes, media_type: str | None = None, *, trusted: bool = False) -> Manifest | Index:
    """Return the manifest or index that ``data`` is, validated.

    ``media_type`` is what the descriptor or the registry says of it. The document's own ``mediaType`` decides, else
    the given one, else its shape. One that could be read as either kind, or contradicts what was said of it, is
    refused, so that no two readers see two images in it (CVE-2021-41190). ``trusted`` leaves the schema out: for
    bytes known by their digest that were validated when they came in.

    Raises InvalidDocument, or UnsupportedMediaType for a kind of manifest that is known, or named, but not supported.
    """
    document = documents.loads(data, what="manifest")
    with documents.within("manifest"):
        _refuse_other_spellings(document)
        kind = _media_type(document, _said(media_type))
    what = "index" if mediatypes.is_index(kind) else "manifest"
    with documents.within(what):
        _refuse_two_faces(document, what)
    if not trusted:
        validate(document, what, what=what)
    with documents.within(what):
        return (Index if what == "index" else Manifest).from_json(document, kind)


def _refuse_other_spellings(document: Mapping[str, Any]) -> None:
    """Refuse a member that Go programs, which do not mind the case, would take for one that we do not see."""
    spelt = {key.casefold(): key for key in _MEMBERS}
    for key in document:
        if key != spelt.get(key.casefold(), key):
            raise InvalidDocument(f"the member {key!r} is spelt {spelt[key.casefold()]!r}")


def _said(media_type: str | None) -> str | None:
    """Return what a Content-Type header says, without parameters; None where it says nothing."""
    said = (media_type or "").partition(";")[0].strip()
    return None if said in _GENERIC else said


def _media_type(document: Mapping[str, Any], said: str | None) -> str:
    own = documents.maybe_text(document, "mediaType") or None
    for named in filter(None, (own, said)):
        _refuse_unsupported(named)
    if "fsLayers" in document or document.get("schemaVersion") == 1:
        _refuse_unsupported(mediatypes.DOCKER_SCHEMA1)
    if own and said and own != said:
        raise InvalidDocument(f"its mediaType is {own}, but it was given as {said}")
    return own or said or (mediatypes.OCI_INDEX if "manifests" in document else mediatypes.OCI_MANIFEST)


def _refuse_unsupported(media_type: str) -> None:
    if media_type in mediatypes.SCHEMA1:
        raise UnsupportedMediaType(
            "this is a manifest of Docker's image format schema 1, which is not supported",
            remedy="push the image again with a current tool",
        )
    if not mediatypes.is_manifest(media_type) and not mediatypes.is_index(media_type):
        raise UnsupportedMediaType(f"{media_type!r:.160} is not the media type of an image manifest or index")


def _refuse_two_faces(document: Mapping[str, Any], what: str) -> None:
    # Presence is counted after null members are gone: null is absent to every reader.
    foreign = ("config", "layers") if what == "index" else ("manifests",)
    for key in foreign:
        if key in document:
            raise InvalidDocument(f"it has the member {key!r}, which belongs to another kind of document")


def _subject(document: Mapping[str, Any]) -> Descriptor | None:
    subject = documents.maybe_object(document, "subject")
    return None if subject is None else Descriptor.from_json(subject)


def _head(manifest: AnyManifest) -> dict[str, Any]:
    return {
        "schemaVersion": _SCHEMA_VERSION,
        "mediaType": manifest.media_type,
        **documents.compact([("artifactType", manifest.artifact_type)]),
    }


def _tail(manifest: AnyManifest) -> dict[str, Any]:
    return documents.compact(
        [
            ("subject", manifest.subject and manifest.subject.to_json()),
            ("annotations", dict(sorted(manifest.annotations.items()))),
        ]
    )
