"""Image configs: platform, run settings, the layers' diff IDs and how they came to be."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from ocibuild.oci import documents
from ocibuild.oci.digest import DiffID, Digest
from ocibuild.oci.platform import Platform
from ocibuild.oci.runconfig import RunConfig
from ocibuild.oci.validation import validate
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WHAT = "config"


@dataclass(frozen=True, slots=True)
class History:
    """One step of how an image was made; ``empty_layer`` where it made no layer. ``created`` is RFC 3339 text."""

    created: str | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> History:
        """Return the history entry that a JSON object is; raises InvalidDocument."""
        return cls(
            created=documents.maybe_text(document, "created") or None,
            created_by=documents.maybe_text(document, "created_by") or "",
            author=documents.maybe_text(document, "author") or "",
            comment=documents.maybe_text(document, "comment") or "",
            empty_layer=documents.boolean(document, "empty_layer"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the members in the order of the specification's Go type, without empty ones."""
        return documents.compact(
            [
                ("created", self.created),
                ("created_by", self.created_by),
                ("author", self.author),
                ("comment", self.comment),
                ("empty_layer", self.empty_layer),
            ]
        )


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The config of an image; see image-spec, config.md. Its bytes' digest is the image ID.

    ``created`` is RFC 3339 text, kept as it was written. ``diff_ids`` and ``history`` are oldest first.
    """

    platform: Platform
    created: str | None = None
    author: str = ""
    config: RunConfig = field(default_factory=RunConfig)
    diff_ids: tuple[DiffID, ...] = ()
    history: tuple[History, ...] = ()

    @classmethod
    def from_bytes(cls, data: bytes, *, trusted: bool = False) -> ImageConfig:
        """Return the config that ``data`` is, validated; members that the specification does not know are dropped.

        ``trusted`` leaves the schema out: for bytes known by their digest that were validated when they came in.
        Raises InvalidDocument.
        """
        document = documents.loads(data, what=_WHAT)
        if isinstance(document.get("rootfs"), dict):
            document["rootfs"].setdefault("diff_ids", [])  # Docker writes none where there is no layer
        if not trusted:
            validate(document, "config", what=_WHAT)
        with documents.within(_WHAT):
            return cls._from_json(document)

    @classmethod
    def _from_json(cls, document: Mapping[str, Any]) -> ImageConfig:
        rootfs = documents.maybe_object(document, "rootfs") or {}
        return cls(
            platform=Platform.from_json(document),
            created=documents.maybe_text(document, "created") or None,
            author=documents.maybe_text(document, "author") or "",
            config=RunConfig.from_json(documents.maybe_object(document, "config") or {}),
            diff_ids=_diff_ids(documents.strings(rootfs, "diff_ids")),
            history=tuple(map(History.from_json, documents.objects(document, "history"))),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the members in the order of the specification's Go type, without empty ones."""
        head = documents.compact([("created", self.created), ("author", self.author)])
        body = {
            **self.platform.to_json(),
            "config": self.config.to_json(),
            "rootfs": {"type": "layers", "diff_ids": [str(diff_id) for diff_id in self.diff_ids]},
        }
        return head | body | documents.compact([("history", [entry.to_json() for entry in self.history])])

    def to_bytes(self, *, validated: bool = True) -> bytes:
        """Return this config as JSON; the same config gives the same bytes.

        It is validated unless ``validated`` is False: for a caller that finds the same bytes in the store already.
        """
        document = self.to_json()
        if validated:
            validate(document, "config", what=_WHAT)
        return documents.dumps(document, what=_WHAT)


def _diff_ids(texts: Iterable[str]) -> tuple[DiffID, ...]:
    return tuple(DiffID(Digest.parse(text)) for text in texts)
