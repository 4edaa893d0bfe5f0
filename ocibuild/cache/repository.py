"""A cache in a registry: one small manifest for each key, all in one repository."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.cache.record import EMPTY, EMPTY_CONFIG, manifest_of, record_for, records_in, tag_of
from ocibuild.errors import InvalidDigest, InvalidDocument, NotFound, UnsupportedMediaType, naming
from ocibuild.oci import Index, parse_manifest, select
from ocibuild.registry import RegistryBlobs, RegistryDestination
from ocibuild.registry.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ocibuild.cache.place import OpenBlob
    from ocibuild.oci import Descriptor, Digest, Manifest, Platform, Reference
    from ocibuild.oci.image_io import BlobReader
    from ocibuild.registry import Registry
    from ocibuild.registry.parallel import Stop
    from ocibuild.rootfs.arrivals import BlobOrigin
    from ocibuild.store import LayerRecord, Store

_AT_ONCE = 8
"""Lookups at a time: each is one short request, and what takes time is the way there."""


class Repository:
    """The cache of ``reference``, see ``Place``; an image with that name gives the cache that is in it."""

    def __init__(
        self, registry: Callable[[], Registry], store: Store, reference: Reference, platforms: Sequence[Platform]
    ) -> None:
        self._registry = registry
        self._store = store
        self._reference = reference
        self._platforms = platforms

    @property
    def subject(self) -> str:
        """See ``Place``."""
        return str(self._reference)

    def find(self, keys: Sequence[Digest]) -> Mapping[Digest, LayerRecord]:
        """See ``Place``."""
        wanted = set(keys)
        # first and alone, so that a registry that cannot be reached is waited for once
        found = {record.key: record for record in self._in_image() if record.key in wanted}

        def look_up(key: Digest, stop: Stop) -> None:
            stop.check()
            if (record := self._look_up(key)) is not None:
                found[key] = record

        in_parallel(look_up, list(wanted - found.keys()), limit=_AT_ONCE, abandon=self._registry().stop)
        for record in found.values():  # a push beside it need not send these
            self._store.origins.add(record.layer.descriptor.digest, self._reference)
        return found

    def origin(self) -> BlobOrigin:
        """See ``Place``."""
        return RegistryBlobs(self._registry, self._store, self._reference)

    def put(self, records: Sequence[LayerRecord], open_blob: OpenBlob) -> None:
        """See ``Place``."""
        registry = self._registry()
        there = RegistryDestination(registry, [self._reference], self._store.origins)

        def send(blob: Descriptor, open_at: Callable[[int], BlobReader]) -> None:
            if not there.has_blob(blob):
                there.put_blob(blob, open_at, lambda _done: None)

        def put_one(record: LayerRecord, stop: Stop) -> None:
            stop.check()
            if self._has(record):
                return
            send(record.layer.descriptor, lambda offset: open_blob(record, offset))
            manifest = manifest_of(record)
            registry.push_manifest(self._named(record.key), manifest.to_bytes(), manifest.media_type)

        with naming(self.subject):
            send(EMPTY_CONFIG, lambda offset: io.BytesIO(EMPTY[offset:]))
            in_parallel(put_one, records, limit=there.parallel, abandon=registry.stop)

    def _has(self, record: LayerRecord) -> bool:
        try:
            return self._look_up(record.key) == record
        except (InvalidDocument, InvalidDigest, UnsupportedMediaType):  # it is replaced
            return False

    def _look_up(self, key: Digest) -> LayerRecord | None:
        document = self._fetch(self._named(key))
        with naming(self.subject):
            return record_for(key, document) if document else None

    def _in_image(self) -> Iterator[LayerRecord]:
        document = self._fetch(self._reference)
        found: list[Manifest | Index | None] = [document]
        if isinstance(document, Index):
            entries = filter(None, (select(document.manifests, platform) for platform in self._platforms))
            names = [replace(self._reference, tag=None, digest=entry.digest) for entry in entries]
            found = list(map(self._fetch, dict.fromkeys(names)))
        with naming(self.subject):
            for one in found:
                yield from records_in(one) if one else ()

    def _fetch(self, reference: Reference) -> Manifest | Index | None:
        registry = self._registry()
        if reference.digest is None and not registry.may_have(reference):
            return None  # which is what most lookups come to: none of them is counted as a pull
        try:
            data, descriptor = registry.manifest(reference)
        except NotFound:
            return None
        with naming(self.subject):
            return parse_manifest(data, descriptor.media_type)

    def _named(self, key: Digest) -> Reference:
        assert self._reference.tag is not None
        return self._reference.with_tag(tag_of(self._reference.tag, key))
