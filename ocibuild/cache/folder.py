"""A cache in a folder: an OCI layout with one small manifest for each key."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Final

from ocibuild.archive.layoutdestination import FolderLayoutDestination
from ocibuild.archive.layoutfolder import add_entries, entries_of, make_layout
from ocibuild.archive.layoutsource import layout_source
from ocibuild.archive.naming import tagged
from ocibuild.cache.record import EMPTY, EMPTY_CONFIG, manifest_of, record_for, tag_of
from ocibuild.errors import naming
from ocibuild.oci import Descriptor, Digest, parse_manifest
from ocibuild.oci.verified import verified
from ocibuild.store import REF_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ocibuild.cache.place import OpenBlob
    from ocibuild.rootfs.arrivals import BlobOrigin
    from ocibuild.store import BlobWriter, LayerRecord, Store

_TAG: Final = "cache"


class Folder:
    """The cache in a folder, see ``Place``, and where its blobs come from; what others write there meanwhile stays."""

    def __init__(self, store: Store, path: str) -> None:
        self._store = store
        self._path = path

    @property
    def subject(self) -> str:
        """See ``Place``."""
        return self._path

    def find(self, keys: Sequence[Digest]) -> Mapping[Digest, LayerRecord]:
        """See ``Place``; a folder that is not there has nothing."""
        if not os.path.exists(self._path):
            return {}
        found: dict[Digest, LayerRecord] = {}
        with naming(self.subject), layout_source(self._path, self.subject) as layout:
            entries = {entry.annotations.get(REF_NAME): entry for entry in entries_of(self._path)}
            for key in keys:
                if (entry := entries.get(tag_of(_TAG, key))) is not None:
                    data = layout.read_manifest(entry)
                    found[key] = record_for(key, parse_manifest(data, entry.media_type))
        return found

    def origin(self) -> BlobOrigin:
        """See ``Place``."""
        return self

    def put(self, records: Sequence[LayerRecord], open_blob: OpenBlob) -> None:
        """See ``Place``; the names come last, all at once."""
        make_layout(self._path)
        there = FolderLayoutDestination(self._path, self.subject, None)
        there.put_manifest(EMPTY_CONFIG, EMPTY)
        entries = []
        for record in records:
            blob = record.layer.descriptor
            if not there.has_blob(blob):
                there.put_blob(blob, lambda offset, record=record: open_blob(record, offset), lambda _done: None)  # type: ignore[misc]
            manifest = manifest_of(record)
            data = manifest.to_bytes()
            descriptor = Descriptor(manifest.media_type, Digest.of(data), len(data))
            there.put_manifest(descriptor, data)
            entries.append(tagged(descriptor, tag_of(_TAG, record.key)))
        add_entries(self._path, entries)

    def fetch(
        self, blob: Descriptor, *, progress: Callable[[int], None], started: Callable[[BlobWriter | None], None]
    ) -> None:
        """See ``BlobOrigin``."""
        with self._store.locks.holding(f"blob {blob.digest}"):
            if self._store.blobs.has(blob.digest):
                started(None)
                return
            with (
                layout_source(self._path, self.subject) as layout,
                closing(layout.open_blob(blob)) as reader,
                self._store.blobs.writer(blob) as writer,
            ):
                started(writer)
                for piece in verified(reader, blob):
                    writer.write(piece)
                    progress(writer.size)

    def distrust(self) -> bool:
        """See ``BlobOrigin``."""
        return False

    def stop(self) -> None:
        """See ``BlobOrigin``."""
        self._store.locks.stop()
