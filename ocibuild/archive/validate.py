"""Images checked down to the last byte: documents against their schemas, blobs against digests, layers against configs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from ocibuild.archive.contents import DEEPEST_INDEX, is_foreign
from ocibuild.archive.faults import Fault, Report
from ocibuild.archive.layout import LayoutDirectory, open_source, read_file
from ocibuild.archive.naming import name_of
from ocibuild.archive.sound import check_blob, check_layer, read_blob
from ocibuild.errors import DigestMismatch, InvalidDocument, NotInStore, OcibuildError, UnsupportedMediaType
from ocibuild.fs import Root
from ocibuild.oci import ImageConfig, Index, is_attestation, is_index, is_layer, is_manifest, mediatypes, parse_manifest
from ocibuild.oci.documents import loads
from ocibuild.oci.validation import validate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.archive.layout import Source
    from ocibuild.oci import Descriptor, Digest, DiffID, Manifest, Platform, Reference
    from ocibuild.store import Store

DOCUMENT_LIMIT: Final = 16 << 20
"""Bytes of a manifest, index or config."""


def validate_path(path: str, *, all_faults: bool = False) -> Report:
    """Validate all that a layout holds: a directory, or a tar of one.

    The report has the first fault, or every one with ``all_faults``. Raises OcibuildError where the path cannot be
    read at all.
    """
    walk = _Walk()
    try:
        with open_source(path) as source:
            return _report(walk, path, walk.layout(source, path), all_faults=all_faults)
    except OcibuildError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return Report(path, (_fault(path, error),), 0, 0)


def validate_stored(store: Store, reference: Reference, *, all_faults: bool = False) -> Report:
    """Validate an image of the store, by its tag or by the digest of its manifest; raises NotInStore."""
    descriptor = store.tags.get(reference) or _by_digest(store, reference)
    if descriptor is None:
        raise NotInStore(f"{reference.familiar()}: no such image in the store", remedy="pull or build it first")
    with LayoutDirectory(Root.open(store.root)) as source:
        return validate_image(source, descriptor, subject=reference.familiar(), all_faults=all_faults)


def validate_image(source: Source, descriptor: Descriptor, *, subject: str, all_faults: bool = False) -> Report:
    """Validate the image or index that ``descriptor`` names in a layout; ``subject`` is how messages call it."""
    walk = _Walk()
    return _report(walk, subject, walk.entry(source, descriptor, subject), all_faults=all_faults)


def _report(walk: _Walk, subject: str, faults: Iterator[Fault], *, all_faults: bool) -> Report:
    found = tuple(islice(faults, None if all_faults else 1))
    return Report(subject, found, len(walk.sound), sum(walk.sound.values()))


def _by_digest(store: Store, reference: Reference) -> Descriptor | None:
    return next((entry for entry in store.tags.entries() if entry.digest == reference.digest), None)


@dataclass(frozen=True, slots=True)
class _Known:
    """What we know of a manifest that was walked already: another descriptor may name it too."""

    platform: Platform | None


class _Walk:
    """One walk through a layout; each blob is read once, however often it is named."""

    def __init__(self) -> None:
        self.sound: dict[Digest, int] = {}
        self._diff_ids: dict[tuple[Digest, str], DiffID] = {}
        self._known: dict[tuple[Digest, str], _Known] = {}

    def layout(self, source: Source, place: str) -> Iterator[Fault]:
        """Yield the faults of a whole layout."""
        try:
            header = loads(read_file(source, "oci-layout", limit=DOCUMENT_LIMIT), what="oci-layout")
            validate(header, "layout", what="oci-layout")
        except OcibuildError as error:
            yield _fault(f"{place}: oci-layout", error)
        try:
            index = _index(read_file(source, "index.json", limit=DOCUMENT_LIMIT))
        except OcibuildError as error:
            yield _fault(f"{place}: index.json", error)
            return
        for entry in index.manifests:
            name = name_of(entry) if len(index.manifests) > 1 else None
            yield from self.entry(source, entry, f"{place}: {_shown(name)}" if name else place)

    def entry(self, source: Source, descriptor: Descriptor, place: str, depth: int = 0) -> Iterator[Fault]:
        """Yield the faults of what one entry of an index names."""
        key = (descriptor.digest, descriptor.media_type)
        if key not in self._known:
            self._known[key] = _Known(None)
            yield from self._new_entry(source, descriptor, place, depth)
        yield from _platform_fault(descriptor, self._known[key].platform, place)

    def _new_entry(self, source: Source, descriptor: Descriptor, place: str, depth: int) -> Iterator[Fault]:
        kind = "index" if is_index(descriptor.media_type) else "manifest"
        where = f"{place}: {kind} {descriptor.digest}"
        try:
            document = self._document(source, descriptor)
            if depth > DEEPEST_INDEX:
                raise InvalidDocument(f"more than {DEEPEST_INDEX} indexes in one another")
        except OcibuildError as error:
            yield _fault(where, error)
            return
        if isinstance(document, Index):
            for child in document.manifests:
                yield from self.entry(source, child, _child_place(place, child), depth + 1)
        elif document.artifact_type or is_attestation(descriptor):
            yield from self._blobs(source, document, place)
        else:
            yield from self._image(source, descriptor, document, place)

    def _document(self, source: Source, descriptor: Descriptor) -> Manifest | Index:
        media_type = descriptor.media_type
        if not is_manifest(media_type) and not is_index(media_type):
            check_blob(source, descriptor)
            raise UnsupportedMediaType(f"{media_type!r:.160} is not the media type of an image manifest or index")
        data = read_blob(source, descriptor, limit=DOCUMENT_LIMIT)
        self.sound[descriptor.digest] = descriptor.size
        return parse_manifest(data, media_type)

    def _blobs(self, source: Source, manifest: Manifest, place: str) -> Iterator[Fault]:
        """Yield the faults of an artifact, whose config and layers may be of any type."""
        for descriptor in (manifest.config, *manifest.layers):
            try:
                check_blob(source, descriptor)
                self.sound[descriptor.digest] = descriptor.size
            except OcibuildError as error:
                yield _fault(f"{place}: blob {descriptor.digest}", error)

    def _image(self, source: Source, descriptor: Descriptor, manifest: Manifest, place: str) -> Iterator[Fault]:
        diff_ids: tuple[DiffID, ...] = ()
        where = f"{place}: config {manifest.config.digest}"
        try:
            config = self._config(source, manifest.config)
        except OcibuildError as error:
            yield _fault(where, error)
        else:
            self._known[descriptor.digest, descriptor.media_type] = _Known(config.platform)
            diff_ids = config.diff_ids
            yield from (Fault(where, what) for what in _miscounts(config, manifest))
        for position, layer in enumerate(manifest.layers):
            expected = diff_ids[position] if len(diff_ids) == len(manifest.layers) else None
            try:
                self._layer(source, layer, expected)
            except OcibuildError as error:
                yield _fault(f"{place}: layer {position + 1} {layer.digest}", error)

    def _config(self, source: Source, descriptor: Descriptor) -> ImageConfig:
        if descriptor.media_type not in mediatypes.CONFIGS:
            check_blob(source, descriptor)
            raise UnsupportedMediaType(f"{descriptor.media_type!r:.160} is not the media type of an image config")
        data = read_blob(source, descriptor, limit=DOCUMENT_LIMIT)
        self.sound[descriptor.digest] = descriptor.size
        return ImageConfig.from_bytes(data)

    def _layer(self, source: Source, descriptor: Descriptor, expected: DiffID | None) -> None:
        if is_foreign(descriptor) and source.size_of(blob_name(descriptor.digest)) is None:
            return
        if not is_layer(descriptor.media_type):
            check_blob(source, descriptor)
            raise UnsupportedMediaType(f"{descriptor.media_type!r:.160} is not the media type of a layer")
        key = (descriptor.digest, descriptor.media_type)
        if key not in self._diff_ids:
            self._diff_ids[key] = check_layer(source, descriptor, expected or descriptor.digest)
            self.sound[descriptor.digest] = descriptor.size
        actual = self._diff_ids[key]
        if expected is not None and actual != expected:
            raise DigestMismatch(f"its tar has the digest {actual}, and the config says {expected}")
