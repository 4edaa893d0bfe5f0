"""From a reference to one image: the manifest for a platform, and its config."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.errors import DigestMismatch, InvalidDocument, NoMatchingPlatform, UnsupportedMediaType
from ocibuild.oci import (
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    Reference,
    compression_of,
    parse_manifest,
    select,
)
from ocibuild.oci.limits import CONFIG_LIMIT, DEEPEST_INDEX, MAX_LAYERS
from ocibuild.registry.fetch import read_blob
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocibuild.oci import Digest
    from ocibuild.registry.client import Registry
    from ocibuild.store import Store


@dataclass(frozen=True, slots=True)
class Resolved:
    """An image that a registry has: ``reference`` as it was asked for, and what was found there.

    ``descriptor`` is that of the platform's manifest. The bytes are as they were sent.
    """

    reference: Reference
    descriptor: Descriptor
    manifest: Manifest
    config: ImageConfig
    manifest_bytes: bytes
    config_bytes: bytes


def resolve(
    registry: Registry, store: Store, reference: Reference, platform: Platform, *, strict: bool = True
) -> Resolved:
    """Return the image that ``reference`` names for ``platform``; manifests and config are kept in the store.

    Nothing is kept of an image that cannot be used. What the store has is not fetched again; a tag is always looked up.
    An index must have the platform; an image without an index may be for another one unless ``strict``.

    Raises NotFound, Unauthorized, RegistryError, NoMatchingPlatform, InvalidDocument, DigestMismatch.
    """
    found = _find(registry, store, reference)
    passed = [found]
    while isinstance(found.document, Index):
        if len(passed) > DEEPEST_INDEX:
            digest = found.descriptor.digest
            raise InvalidDocument(f"{reference}: {digest}: more than {DEEPEST_INDEX} indexes in one another")
        chosen = _choose(found.document, reference, platform)
        found = _find(registry, store, reference.with_digest(chosen.digest), chosen)
        passed.append(found)
    manifest = found.document
    _check_layers(store, manifest, found.descriptor, reference)
    with store.locks.holding(f"blob {manifest.config.digest}"):  # so that others wait for it, as for any blob
        config_bytes, config = _find_config(registry, store, reference, manifest)
        if strict:
            _check_platform(config, found.descriptor, reference, platform)
        _keep(store, manifest.config, config_bytes)
    for document in reversed(passed):  # an index comes after what it names
        _keep(store, document.descriptor, document.data)
    return Resolved(reference, found.descriptor, manifest, config, found.data, config_bytes)


@dataclass(frozen=True, slots=True)
class _Found:
    """A manifest or index: as bytes, described, and read."""

    data: bytes
    descriptor: Descriptor
    document: Manifest | Index


def _find(registry: Registry, store: Store, reference: Reference, known: Descriptor | None = None) -> _Found:
    """Return what ``reference`` names, from the store where it is there; ``known`` is what an index says of it."""
    named = known or (None if reference.digest else registry.head(reference))
    digest = named.digest if named else reference.digest
    if digest and store.blobs.has(digest):
        data = store.blobs.read(digest)
        document = _parsed(data, known.media_type if known else None, reference, trusted=True)
        descriptor = Descriptor(document.media_type, digest, len(data))
    else:  # a tag may have moved since it was looked up
        data, descriptor = registry.manifest(reference)
        document = _parsed(data, known.media_type if known else descriptor.media_type, reference)
    if known:
        _check_size(known, len(data), reference)
    return _Found(data, known or descriptor, document)


def _check_size(promised: Descriptor, size: int, reference: Reference) -> None:
    if promised.size != size:
        raise DigestMismatch(
            f"{reference}: {promised.digest} has {size} bytes, where {promised.size} were promised",
            remedy="the image is damaged there: push it again",
        )


def _keep(store: Store, descriptor: Descriptor, data: bytes) -> None:
    if not store.blobs.has(descriptor.digest):
        with store.blobs.writer(descriptor) as blob:
            blob.write(data)


def _check_layers(store: Store, manifest: Manifest, descriptor: Descriptor, reference: Reference) -> None:
    """Refuse, before anything of it is fetched, an image that cannot be used."""
    if len(manifest.layers) > MAX_LAYERS:
        raise InvalidDocument(
            f"{reference}: {descriptor.digest} has {len(manifest.layers)} layers; {MAX_LAYERS} are allowed"
        )
    sizes: dict[Digest, int] = {}
    for layer in manifest.layers:
        known = store.blobs.size(layer.digest) if store.blobs.has(layer.digest) else layer.size
        _check_size(layer, sizes.setdefault(layer.digest, known), reference)
        try:
            compression_of(layer.media_type)
        except UnsupportedMediaType as error:
            raise UnsupportedMediaType(f"{reference}: {layer.digest}: {error.message}", remedy=error.remedy) from error


def _parsed(data: bytes, media_type: str | None, reference: Reference, *, trusted: bool = False) -> Manifest | Index:
    try:
        return parse_manifest(data, media_type, trusted=trusted)
    except (InvalidDocument, UnsupportedMediaType) as error:
        raise type(error)(f"{reference}: {error.message}", remedy=error.remedy) from error


def _choose(index: Index, reference: Reference, platform: Platform) -> Descriptor:
    chosen = select(index.manifests, platform)
    if chosen is None:
        raise _no_platform(reference, platform, (descriptor.platform for descriptor in index.manifests))
    return chosen


def _find_config(
    registry: Registry, store: Store, reference: Reference, manifest: Manifest
) -> tuple[bytes, ImageConfig]:
    descriptor = manifest.config
    if descriptor.size > CONFIG_LIMIT:
        raise InvalidDocument(
            f"{reference}: its config {descriptor.digest} has {descriptor.size} bytes; {CONFIG_LIMIT} are allowed"
        )
    if store.blobs.has(descriptor.digest):
        data = store.blobs.read(descriptor.digest, limit=CONFIG_LIMIT)
        _check_size(descriptor, len(data), reference)
    else:
        data = read_blob(registry, reference, descriptor)
        store.origins.add(descriptor.digest, reference)
    return data, _read_config(data, manifest, reference)


def _read_config(data: bytes, manifest: Manifest, reference: Reference) -> ImageConfig:
    try:
        config = ImageConfig.from_bytes(data)
    except InvalidDocument as error:
        message = f"{reference}: {manifest.config.digest}: {error.message}"
        raise InvalidDocument(message, remedy=error.remedy) from error
    if len(config.diff_ids) != len(manifest.layers):
        counts = f"{len(config.diff_ids)} diff IDs, its manifest {len(manifest.layers)} layers"
        raise InvalidDocument(f"{reference}: its config {manifest.config.digest} has {counts}")
    return config


def _check_platform(config: ImageConfig, descriptor: Descriptor, reference: Reference, platform: Platform) -> None:
    """Refuse an image for another platform; an index that named the platform is believed."""
    if descriptor.platform is None and select([replace(descriptor, platform=config.platform)], platform) is None:
        raise _no_platform(reference, platform, [config.platform])


def _no_platform(reference: Reference, platform: Platform, existing: Iterable[Platform | None]) -> NoMatchingPlatform:
    names = sorted({str(one) for one in existing if one and one.os != "unknown"})
    there = f"it has {', '.join(names)}" if names else "it names no platform"
    return NoMatchingPlatform(f"{reference}: no image for {platform}; {there}", remedy="choose one with --platform")
