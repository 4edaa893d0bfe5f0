"""What a copy takes along: the manifests that are wanted, and every blob that they name. Nothing is written here."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ocibuild.errors import DigestMismatch, InvalidDocument, NoMatchingPlatform, NotFound, NotInStore, UsageError
from ocibuild.oci import (
    Descriptor,
    Digest,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    acceptable_platforms,
    is_foreign,
    is_index,
    is_manifest,
    parse_manifest,
    select,
)
from ocibuild.oci.limits import CONFIG_LIMIT, DEEPEST_INDEX, MANIFEST_LIMIT, MAX_LAYERS
from ocibuild.oci.verified import read_verified
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from ocibuild.oci.image_io import ImageSource

MAX_MANIFESTS: Final = 64 << 20
"""Bytes that all manifests of a copy have together: they are held in memory."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which images of an index are copied: ``everything``, or those for ``platforms``, for this machine's if empty."""

    platforms: tuple[Platform, ...] = ()
    everything: bool = False

    def __post_init__(self) -> None:
        if self.everything and self.platforms:
            raise UsageError("all images and those of some platforms", remedy="give --all or --platform")


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or index: its bytes, what they mean, and its descriptor with media type, digest and size alone."""

    descriptor: Descriptor
    data: bytes
    content: Manifest | Index


@dataclass(frozen=True, slots=True)
class Plan:
    """What to copy, in this order, each once: ``blobs``, the manifests ``below`` an index, and the ``root``."""

    blobs: tuple[Descriptor, ...]
    below: tuple[Document, ...]
    root: Document


def make_plan(source: ImageSource, selection: Selection, *, trusted: bool = False) -> Plan:
    """Return what a copy of ``selection`` takes from ``source``.

    An index is copied as it is for ``everything``, or where each of its entries is wanted. For several platforms a new
    index is made of their entries; for one, its image is copied alone. A single image must be for the platforms that
    were named. ``trusted`` leaves the schemas out: for a source whose documents were validated when they came in.

    Raises NoMatchingPlatform, InvalidDocument, UnsupportedMediaType, DigestMismatch, and what the source raises.
    """
    reader = _Reader(source, trusted=trusted)
    root = _chosen(reader, reader.read(source.root()), selection)
    gathered = _Gathered(reader)
    gathered.add(root, depth=1)
    return Plan(tuple(gathered.blobs.values()), tuple(gathered.manifests.values()), root)


class _Reader:
    """The manifests of a source, each read once, and not more of them than fit into memory."""

    def __init__(self, source: ImageSource, *, trusted: bool) -> None:
        self.source = source
        self._trusted = trusted
        self._read: dict[Digest, Document] = {}
        self._size = 0

    def read(self, descriptor: Descriptor) -> Document:
        """Return the manifest or index that ``descriptor`` names."""
        document = self._read.get(descriptor.digest)
        if document is None:
            document = self._read[descriptor.digest] = self._fetch(descriptor)
        if (document.descriptor.media_type, document.descriptor.size) != (descriptor.media_type, descriptor.size):
            raise InvalidDocument(f"{self.source.subject}: {descriptor.digest} is named as two different things")
        return document

    def _fetch(self, descriptor: Descriptor) -> Document:
        where = f"{self.source.subject}: {descriptor.digest}"
        if descriptor.size > MANIFEST_LIMIT:
            raise InvalidDocument(f"{where}: {descriptor.size} bytes, and a manifest may have {MANIFEST_LIMIT}")
        self._size += descriptor.size
        if self._size > MAX_MANIFESTS:
            raise InvalidDocument(f"{self.source.subject}: more than {MAX_MANIFESTS} bytes of manifests")
        if not is_manifest(descriptor.media_type) and not is_index(descriptor.media_type):
            raise InvalidDocument(f"{where}: {descriptor.media_type!r:.160} is not the media type of a manifest")
        data = self.source.read_manifest(descriptor)
        try:
            content = parse_manifest(data, descriptor.media_type, trusted=self._trusted)
        except InvalidDocument as error:
            raise InvalidDocument(f"{where}: {error.message}", remedy=error.remedy) from error
        return Document(Descriptor(content.media_type, descriptor.digest, descriptor.size), data, content)

    def platform_of(self, manifest: Manifest) -> Platform:
        """Return the platform that the config of an image says."""
        with closing(self.source.open_blob(manifest.config)) as blob:
            return ImageConfig.from_bytes(read_verified(blob, manifest.config, limit=CONFIG_LIMIT)).platform

    def has(self, blob: Descriptor) -> bool:
        """Tell whether the source itself has a foreign layer: it is asked for one without other places to look."""
        try:
            with closing(self.source.open_blob(replace(blob, urls=()))) as reader:
                reader.read(1)
        except (NotFound, NotInStore):
            return False
        return True


def _chosen(reader: _Reader, root: Document, selection: Selection) -> Document:
    if isinstance(root.content, Manifest):
        _check_platform(reader, root.content, selection)
        return root
    if selection.everything:
        return root
    wanted = tuple(dict.fromkeys(selection.platforms)) or (Platform.host(),)
    found = {entry.digest: entry for entry in (_image_for(reader, root.content, one) for one in wanted)}
    if len(wanted) == 1:
        return reader.read(*found.values())
    if found.keys() == {entry.digest for entry in root.content.manifests}:
        return root
    return _index_of(root.content, found)


def _check_platform(reader: _Reader, image: Manifest, selection: Selection) -> None:
    if not selection.platforms:
        return
    actual = reader.platform_of(image).normalized()
    for wanted in selection.platforms:
        if actual not in acceptable_platforms(wanted):
            raise NoMatchingPlatform(f"{reader.source.subject}: the image is for {actual}, not for {wanted}")


def _image_for(reader: _Reader, index: Index, platform: Platform) -> Descriptor:
    """Return the entry of ``index``, or of an index in it, for a platform."""
    for _ in range(DEEPEST_INDEX):
        entry = select(index.manifests, platform)
        if entry is None:
            raise NoMatchingPlatform(f"{reader.source.subject}: no image for {platform}", remedy=_offer(index))
        content = reader.read(entry).content
        if isinstance(content, Manifest):
            return entry
        index = content
    raise _too_deep(reader)


def _offer(index: Index) -> str:
    platforms = dict.fromkeys(str(entry.platform) for entry in index.manifests[:40] if entry.platform)
    platforms.pop("unknown/unknown", None)
    return f"it has {', '.join(platforms)}" if platforms else "its entries name no platform"


def _index_of(index: Index, entries: dict[Digest, Descriptor]) -> Document:
    """Return a new index of some entries, in the order they have in ``index``, with its media type and annotations."""
    order = {entry.digest: place for place, entry in enumerate(index.manifests)}
    chosen = sorted(entries.values(), key=lambda entry: order.get(entry.digest, len(order)))
    content = replace(index, manifests=tuple(chosen))
    data = content.to_bytes()
    return Document(Descriptor(content.media_type, Digest.of(data), len(data)), data, content)


class _Gathered:
    """What was found below a root: ``blobs`` in the order of the manifests, ``manifests`` each after those it names."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader
        self._elsewhere: set[Digest] = set()
        self.blobs: dict[Digest, Descriptor] = {}
        self.manifests: dict[Digest, Document] = {}

    def add(self, document: Document, *, depth: int) -> None:
        """Add what ``document`` names, but not itself."""
        if isinstance(document.content, Manifest):
            self._add_image(document.descriptor.digest, document.content)
            return
        if depth > DEEPEST_INDEX:
            raise _too_deep(self._reader)
        for entry in document.content.manifests:
            below = self._reader.read(entry)
            if entry.digest not in self.manifests:
                self.add(below, depth=depth + 1)
                self.manifests[entry.digest] = below

    def _add_image(self, digest: Digest, manifest: Manifest) -> None:
        where = f"{self._reader.source.subject}: {digest}"
        if len(manifest.layers) > MAX_LAYERS:
            raise InvalidDocument(f"{where}: {len(manifest.layers)} layers, and an image may have {MAX_LAYERS}")
        if manifest.config.size > CONFIG_LIMIT:
            raise InvalidDocument(f"{where}: a config of {manifest.config.size} bytes; it may have {CONFIG_LIMIT}")
        for blob in (*manifest.layers, manifest.config):
            known = self.blobs.get(blob.digest, blob)
            if known.size != blob.size:
                raise DigestMismatch(f"{where}: {blob.digest} is said to have {blob.size} bytes and {known.size}")
            if not self._stays(blob):
                self.blobs[blob.digest] = known

    def _stays(self, blob: Descriptor) -> bool:
        """Tell whether this is a foreign layer that the source does not have."""
        if not is_foreign(blob) or blob.digest in self.blobs:
            return False
        if blob.digest not in self._elsewhere and self._reader.has(blob):
            return False
        self._elsewhere.add(blob.digest)
        return True


def _too_deep(reader: _Reader) -> InvalidDocument:
    return InvalidDocument(f"{reader.source.subject}: more than {DEEPEST_INDEX} indexes lie in one another")
