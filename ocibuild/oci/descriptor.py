"""Descriptors: media type, digest and size of a blob."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from ocibuild.errors import InvalidDocument
from ocibuild.oci import documents
from ocibuild.oci.digest import Digest
from ocibuild.oci.platform import Platform
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a blob is and how to know it; ``size`` is in bytes. See image-spec, descriptor.md.

    ``artifact_type`` is the type of the artifact where the blob is a manifest of one.
    """

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    platform: Platform | None = None
    urls: tuple[str, ...] = ()
    artifact_type: str | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Descriptor:
        """Return the descriptor that a JSON object is; raises InvalidDocument."""
        platform = documents.maybe_object(document, "platform")
        return cls(
            media_type=documents.text(document, "mediaType"),
            digest=_digest(documents.text(document, "digest")),
            size=_size(documents.integer(document, "size")),
            annotations=documents.string_map(document, "annotations"),
            platform=None if platform is None else Platform.from_json(platform),
            urls=documents.strings(document, "urls"),
            artifact_type=documents.maybe_text(document, "artifactType") or None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the members in the order of the specification, without empty ones; annotations are sorted."""
        required = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        return required | documents.compact(
            [
                ("urls", list(self.urls)),
                ("annotations", dict(sorted(self.annotations.items()))),
                ("platform", self.platform and self.platform.to_json()),
                ("artifactType", self.artifact_type),
            ]
        )

    def with_annotations(self, annotations: Mapping[str, str]) -> Descriptor:
        """Return this descriptor with these annotations added; one that it has already is replaced."""
        return replace(self, annotations={**self.annotations, **annotations})


def _digest(text: str) -> Digest:
    with documents.within("digest"):
        return Digest.parse(text)


def _size(size: int) -> int:
    if size < 0:
        raise InvalidDocument(f"size: {size} is less than the minimum of 0")
    return size
