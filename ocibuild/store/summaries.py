"""What a list of images shows of each, kept: to read the documents of a thousand images takes longer than the rest."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from ocibuild.errors import NotInStore, StoreError
from ocibuild.graph import parse_time
from ocibuild.oci import Digest
from ocibuild.store.images import load_image
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

    from ocibuild.oci import Platform
    from ocibuild.store.blobs import Blobs
    from ocibuild.store.database import Database
    from ocibuild.store.images import StoredImage


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """An image in a line; ``manifest`` and ``image_id`` are the digests of its manifest and of its config.

    ``created`` is in RFC 3339, None where it does not say so; ``size`` is that of its config and layers, in bytes.
    """

    manifest: Digest
    image_id: Digest
    created: str | None
    size: int
    labels_json: str

    @classmethod
    def of(cls, image: StoredImage) -> ImageSummary:
        """Return the summary of an image."""
        labels = json.dumps(dict(image.config.config.labels))
        config = image.manifest.config
        return cls(image.descriptor.digest, config.digest, image.config.created, image.size, labels)

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        labels: dict[str, str] = json.loads(self.labels_json)
        return labels

    @property
    def created_at(self) -> float:
        """When it was made, in seconds since 1970; 0 where it does not say so."""
        return parse_time(self.created) or 0.0


class Summaries:
    """Summaries by the digest of the manifest: what they are made of never changes."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    def of_all(self, manifests: Collection[Digest], platform: Platform) -> dict[Digest, ImageSummary]:
        """Return the summary of each of these images that is here.

        Those that are not known yet are read, and kept where that can be done at once; what is gone is forgotten then.
        ``platform`` is for what is an index, whatever was said of it.
        """
        rows = self._database.query("SELECT manifest, image_id, created, size, labels FROM summaries")
        known = {summary.manifest: summary for summary in map(_summary, rows)}
        found = {digest: known[digest] for digest in manifests if digest in known and self._is_here(known[digest])}
        read = {digest: self._read(digest, platform) for digest in manifests if digest not in known}
        new = {digest: summary for digest, summary in read.items() if summary is not None}
        gone = [digest for digest in known if digest not in found and not self._is_here(known[digest])]
        if new or gone:
            self._keep([summary for digest, summary in new.items() if _may_be_kept(digest, summary)], gone)
        return found | new

    def _read(self, digest: Digest, platform: Platform) -> ImageSummary | None:
        try:
            return ImageSummary.of(load_image(self._blobs, digest, platform))
        except NotInStore:
            return None

    def _is_here(self, summary: ImageSummary) -> bool:
        return self._blobs.has(summary.manifest) and self._blobs.has(summary.image_id)

    def _keep(self, new: Collection[ImageSummary], gone: Collection[Digest]) -> None:
        """Keep some and forget others, unless that fails, or somebody else is writing: it is done for speed alone."""
        rows = [(one.manifest, one.image_id, one.created, one.size, one.labels_json) for one in new]
        with suppress(StoreError), self._database.without_waiting(), self._database.transaction():
            self._database.execute_many("INSERT OR REPLACE INTO summaries VALUES (?, ?, ?, ?, ?)", rows)
            self._database.execute_many("DELETE FROM summaries WHERE manifest = ?", [(digest,) for digest in gone])


def _may_be_kept(digest: Digest, summary: ImageSummary) -> bool:
    """Tell whether a summary is of the very manifest, and its size a number that the database can have."""
    return summary.manifest == digest and summary.size < 1 << 63


def _summary(row: tuple[Any, ...]) -> ImageSummary:
    manifest, image_id, created, size, labels = row
    return ImageSummary(Digest(manifest), Digest(image_id), created, size, labels)
