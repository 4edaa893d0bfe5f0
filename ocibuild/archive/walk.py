"""The walk through a layout that finds its faults: index, manifests, configs, layers. Each blob is read once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocibuild.archive.contents import DEEPEST_INDEX
from ocibuild.archive.faults import Fault
from ocibuild.archive.layout import blob_name, read_file
from ocibuild.archive.naming import name_of
from ocibuild.archive.sound import check_blob, check_layer, read_blob
from ocibuild.errors import (
    DigestMismatch,
    Interrupted,
    InvalidDocument,
    NotFound,
    OcibuildError,
    RegistryError,
    UnsupportedMediaType,
)
from ocibuild.oci import (
    ImageConfig,
    Index,
    is_attestation,
    is_foreign,
    is_index,
    is_layer,
    is_manifest,
    mediatypes,
    parse_manifest,
    validate,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from ocibuild.archive.layout import Source
    from ocibuild.archive.sound import BlobSource
    from ocibuild.oci import Descriptor, DiffID, Digest, Manifest, Platform

DOCUMENT_LIMIT: Final = 16 << 20
"""Bytes of a manifest, index or config."""


class LayoutBlobs:
    """The blobs of a layout; see ``BlobSource``."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def size_of_blob(self, descriptor: Descriptor) -> int | None:
        """See ``BlobSource``."""
        return self._source.size_of(blob_name(descriptor.digest))

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """See ``BlobSource``."""
        return self._source.open_file(blob_name(descriptor.digest))


class Walk:
    """One walk through the blobs of ``source``; ``sound`` are those found to be so, with their sizes."""

    def __init__(self, source: BlobSource) -> None:
        self._source = source
        self._platforms: dict[tuple[Digest, str, int], Platform | None] = {}
        self._diff_ids: dict[tuple[Digest, str, int, str], DiffID] = {}
        self.sound: dict[Digest, int] = {}

    def layout(self, files: Source, place: str) -> Iterator[Fault]:
        """Yield the faults of a whole layout, whose blobs these are; ``place`` begins each."""
        try:
            _check_header(read_file(files, "oci-layout", limit=DOCUMENT_LIMIT))
        except OcibuildError as error:
            yield _fault(f"{place}: oci-layout", error)
        try:
            index = parse_manifest(read_file(files, "index.json", limit=DOCUMENT_LIMIT), mediatypes.OCI_INDEX)
        except OcibuildError as error:
            yield _fault(f"{place}: index.json", error)
            return
        entries = index.manifests if isinstance(index, Index) else ()
        for entry in entries:
            name = name_of(entry) if len(entries) > 1 else None
            yield from self.entry(entry, f"{place}: {_shown(name)}" if name else place)

    def entry(self, descriptor: Descriptor, place: str, *, depth: int = 0) -> Iterator[Fault]:
        """Yield the faults of what an entry of an index names; a manifest that several entries name is walked once."""
        key = _key(descriptor)
        if key not in self._platforms:
            self._platforms[key] = None
            yield from self._new_entry(descriptor, place, depth)
        yield from _platform_faults(descriptor, self._platforms[key], place)

    def _new_entry(self, descriptor: Descriptor, place: str, depth: int) -> Iterator[Fault]:
        kind = "index" if is_index(descriptor.media_type) else "manifest"
        try:
            document = self._document(descriptor)
            if isinstance(document, Index) and depth >= DEEPEST_INDEX:
                raise InvalidDocument(f"more than {DEEPEST_INDEX} indexes lie in one another")
        except OcibuildError as error:
            yield _fault(f"{place}: {kind} {descriptor.digest}", error)
            return
        if isinstance(document, Index):
            for child in document.manifests:
                yield from self.entry(child, _place_of(child, place), depth=depth + 1)
        elif _is_artifact(descriptor, document):
            yield from self._artifact(document, place)
        else:
            yield from self._image(descriptor, document, place)

    def _document(self, descriptor: Descriptor) -> Manifest | Index:
        if not is_manifest(descriptor.media_type) and not is_index(descriptor.media_type):
            raise self._unknown(descriptor, "an image manifest or index")
        return parse_manifest(self._read(descriptor), descriptor.media_type)

    def _artifact(self, manifest: Manifest, place: str) -> Iterator[Fault]:
        """Yield the faults of an artifact, whose config and layers may be of any type."""
        for descriptor in (manifest.config, *manifest.layers):
            try:
                self._check(descriptor)
            except OcibuildError as error:
                yield _fault(f"{place}: blob {descriptor.digest}", error)

    def _image(self, descriptor: Descriptor, manifest: Manifest, place: str) -> Iterator[Fault]:
        where = f"{place}: config {manifest.config.digest}"
        diff_ids: tuple[DiffID | None, ...] = ()
        try:
            config = self._config(manifest.config)
        except OcibuildError as error:
            yield _fault(where, error)
        else:
            self._platforms[_key(descriptor)] = config.platform
            diff_ids = config.diff_ids
            yield from (Fault(where, what) for what in _miscounts(config, manifest))
        if len(diff_ids) != len(manifest.layers):
            diff_ids = (None,) * len(manifest.layers)
        for number, (layer, expected) in enumerate(zip(manifest.layers, diff_ids, strict=True), start=1):
            try:
                self._layer(layer, expected)
            except OcibuildError as error:
                yield _fault(f"{place}: layer {number} {layer.digest}", error)

    def _config(self, descriptor: Descriptor) -> ImageConfig:
        if descriptor.media_type not in mediatypes.CONFIGS:
            raise self._unknown(descriptor, "an image config")
        return ImageConfig.from_bytes(self._read(descriptor))

    def _layer(self, descriptor: Descriptor, expected: DiffID | None) -> None:
        """Check a layer; a foreign one may be elsewhere."""
        if is_foreign(descriptor) and self._source.size_of_blob(descriptor) is None:
            return
        if not is_layer(descriptor.media_type):
            raise self._unknown(descriptor, "a layer")
        like = expected or descriptor.digest
        key = (*_key(descriptor), like.algorithm)
        if key not in self._diff_ids:
            self._diff_ids[key] = check_layer(self._source, descriptor, like)
            self.sound[descriptor.digest] = descriptor.size
        if expected is not None and self._diff_ids[key] != expected:
            raise DigestMismatch(f"its tar has the digest {self._diff_ids[key]}, and the config says {expected}")

    def _read(self, descriptor: Descriptor) -> bytes:
        data = read_blob(self._source, descriptor, limit=DOCUMENT_LIMIT)
        self.sound[descriptor.digest] = descriptor.size
        return data

    def _check(self, descriptor: Descriptor) -> None:
        check_blob(self._source, descriptor)
        self.sound[descriptor.digest] = descriptor.size

    def _unknown(self, descriptor: Descriptor, what: str) -> UnsupportedMediaType:
        """Return the fault of a blob whose media type is not known, unless its bytes are at fault already."""
        self._check(descriptor)
        return UnsupportedMediaType(f"{descriptor.media_type!r:.160} is not the media type of {what}")


def _key(descriptor: Descriptor) -> tuple[Digest, str, int]:
    return (descriptor.digest, descriptor.media_type, descriptor.size)


def _is_artifact(descriptor: Descriptor, manifest: Manifest) -> bool:
    """Tell whether a manifest is none of an image; see image-spec, manifest.md, "Guidelines for Artifact Usage"."""
    is_other = bool(manifest.artifact_type) and manifest.config.media_type not in mediatypes.CONFIGS
    return is_other or is_attestation(descriptor)


def _miscounts(config: ImageConfig, manifest: Manifest) -> Iterator[str]:
    layers = len(manifest.layers)
    if len(config.diff_ids) != layers:
        yield f"it has {len(config.diff_ids)} diff IDs, and the manifest {layers} layers"
    made = sum(not entry.empty_layer for entry in config.history)
    if config.history and made != layers:
        yield f"its history makes {made} layers, and the manifest has {layers}"


def _platform_faults(descriptor: Descriptor, actual: Platform | None, place: str) -> Iterator[Fault]:
    """Yield a fault where an index says another platform than the config; one of the two may leave the variant out."""
    if actual is None or descriptor.platform is None or is_attestation(descriptor):
        return
    said, found = descriptor.platform.normalized(), actual.normalized()
    same = (said.os, said.architecture) == (found.os, found.architecture)
    if not same or (actual.variant and descriptor.platform.variant and said.variant != found.variant):
        yield Fault(
            f"{place}: manifest {descriptor.digest}",
            f"the index says it is for {_shown(str(descriptor.platform))}, and its config {_shown(str(actual))}",
        )


def _place_of(child: Descriptor, place: str) -> str:
    if child.platform is None or is_attestation(child):
        return place
    return f"{place}: {_shown(str(child.platform))}"


def _check_header(data: bytes) -> None:
    """Check the ``oci-layout`` file; raises InvalidDocument."""
    import json

    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidDocument(f"not JSON: {error!s:.160}") from error
    validate(document, "layout", what="oci-layout")


def _fault(where: str, error: OcibuildError) -> Fault:
    """Return the error as a fault; what kind of document it is in, ``where`` says already.

    One that says nothing of the image, as of a registry that does not answer, is raised.
    """
    if isinstance(error, Interrupted) or (isinstance(error, RegistryError) and not isinstance(error, NotFound)):
        raise error
    what = error.message
    for kind in ("manifest: ", "index: ", "config: ", "oci-layout: "):
        what = what.removeprefix(kind)
    return Fault(where, what)


def _shown(text: str) -> str:
    """Return a stranger's text for a message: as it is where that is harmless, else quoted and cut."""
    return text if text.isprintable() and len(text) <= 128 else f"{text!r:.128}"
