"""An image or index, from the store into a registry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ocibuild.errors import InvalidDocument
from ocibuild.oci import Index, mediatypes, parse_manifest
from ocibuild.registry.client import MANIFEST_LIMIT
from ocibuild.registry.parallel import in_parallel
from ocibuild.registry.resolve import DEEPEST_INDEX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.oci import Descriptor, Digest, Manifest, Reference
    from ocibuild.registry.client import Registry
    from ocibuild.registry.parallel import Stop
    from ocibuild.store import Store


@dataclass(frozen=True, slots=True)
class Contents:
    """What belongs to a manifest or index, each once: ``blobs``, and ``manifests`` in the order to push them."""

    blobs: tuple[Descriptor, ...]
    manifests: tuple[Descriptor, ...]


def push(
    registry: Registry,
    store: Store,
    descriptor: Descriptor,
    references: Sequence[Reference],
    *,
    progress: Callable[[Descriptor, int], None],
    parallel: int = 3,
) -> None:
    """Push what ``descriptor`` names under every one of ``references``: blobs, then manifests, then tags.

    Only what a repository does not have is sent, once however many tags it gets. ``progress`` is told how many bytes
    of a blob are there; it is called from several threads. Raises NotInStore before anything is sent where a
    manifest is missing in the store, RegistryError, Unauthorized.
    """
    contents = contents_of(descriptor, lambda manifest: _read(store, manifest))
    for reference in {reference.repository: reference for reference in references}.values():
        _push_blobs(registry, store, reference, contents.blobs, progress, parallel)
        for manifest in contents.manifests:
            _push_manifest(registry, store, replace(reference, tag=None, digest=manifest.digest), manifest)
    for reference in references:
        _push_manifest(registry, store, reference, descriptor)


def contents_of(
    descriptor: Descriptor, read: Callable[[Descriptor], Manifest | Index], *, depth: int = DEEPEST_INDEX
) -> Contents:
    """Return all that must be in a repository before ``descriptor`` itself; layers that may not be pushed left out.

    Raises InvalidDocument where indexes lie more than ``depth`` deep in one another.
    """
    if depth < 0:
        raise InvalidDocument(f"{descriptor.digest}: more than {DEEPEST_INDEX} indexes in one another")
    blobs: dict[Digest, Descriptor] = {}
    manifests: dict[Digest, Descriptor] = {}
    document = read(descriptor)
    if isinstance(document, Index):
        for child in document.manifests:
            below = contents_of(child, read, depth=depth - 1)
            blobs.update((blob.digest, blob) for blob in below.blobs)
            manifests.update((manifest.digest, manifest) for manifest in (*below.manifests, child))
    else:
        pushed = (blob for blob in (*document.layers, document.config) if not _stays(blob))
        blobs.update((blob.digest, blob) for blob in pushed)
    return Contents(tuple(blobs.values()), tuple(manifests.values()))


def _stays(blob: Descriptor) -> bool:
    return blob.media_type in mediatypes.NONDISTRIBUTABLE and bool(blob.urls)


def _read(store: Store, descriptor: Descriptor) -> Manifest | Index:
    data = store.blobs.read(descriptor.digest, limit=MANIFEST_LIMIT)
    return parse_manifest(data, descriptor.media_type, trusted=True)


def _push_blobs(
    registry: Registry,
    store: Store,
    reference: Reference,
    blobs: Sequence[Descriptor],
    progress: Callable[[Descriptor, int], None],
    parallel: int,
) -> None:
    def send(blob: Descriptor, stop: Stop) -> None:
        def report(done: int) -> None:
            stop.check()
            progress(blob, done)

        registry.push_blob(reference, blob, lambda offset: store.blobs.open_at(blob.digest, offset), report)

    in_parallel(send, blobs, limit=parallel, abandon=registry.stop)


def _push_manifest(registry: Registry, store: Store, reference: Reference, manifest: Descriptor) -> None:
    data = store.blobs.read(manifest.digest, limit=MANIFEST_LIMIT)
    registry.push_manifest(reference, data, manifest.media_type)
