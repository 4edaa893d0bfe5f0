"""The images that a build starts from: the store's where it has them, else a registry's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.dockerfile import ResolvedBase
from ocibuild.errors import NotInStore
from ocibuild.graph import told
from ocibuild.oci import Platform, select
from ocibuild.store import load_image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ocibuild.build.contexts import Layout
    from ocibuild.graph import Emit, Image
    from ocibuild.oci import Reference
    from ocibuild.registry import Registry
    from ocibuild.rootfs.arrivals import BlobOrigin
    from ocibuild.store import Store, StoredImage


class Bases:
    """Resolves and fetches base images; ``pull`` asks the registry even where the store knows the tag.

    ``registry`` opens the client, and is called only where one is needed. Each image that is resolved is one step of
    the build; ``steps`` is the number of the last one. ``layouts`` are references that stand for images of layouts.
    Of an image without an index the platform does not matter, as in docker, unless it should be ``asked_for``: the one
    that the user named for the result, which would claim what is not true. Unless ``keep_tags``, the store's tags stay
    as they are.
    """

    def __init__(
        self,
        store: Store,
        registry: Callable[[], Registry],
        emit: Emit,
        *,
        pull: bool,
        layouts: Mapping[Reference, Layout] | None = None,
        steps: int = 0,
        asked_for: Platform | None = None,
        keep_tags: bool = True,
    ) -> None:
        self._store = store
        self._registry = registry
        self._emit = emit
        self._pull = pull
        self._layouts = layouts or {}
        self.steps = steps
        self._asked_for = asked_for
        self._keep_tags = keep_tags

    def resolve(self, reference: Reference, platform: Platform) -> ResolvedBase:
        """Return the manifest's digest and the config of an image; raise RegistryError where it cannot be had."""
        self.steps += 1
        layout = self._layouts.get(reference)
        label = f"[internal] load metadata for {layout or reference}"
        with told(self._emit, self.steps, label) as outcome:
            if layout is not None:
                image: StoredImage | None = layout.load(self._store.blobs, platform)
            else:
                image = None if self._pull else self._stored(reference, platform)
            outcome.cached = image is not None
            return self._resolve_anew(reference, platform) if image is None else _base(image)

    def origin_of(self, image: Image) -> BlobOrigin:
        """Return what brings the blobs of an image into the store."""
        from ocibuild.registry import RegistryBlobs

        reference = image.reference.with_digest(image.digest) if image.digest else image.reference
        return RegistryBlobs(self._registry, self._store, reference)

    def _stored(self, reference: Reference, platform: Platform) -> StoredImage | None:
        tagged = self._store.tags.get(reference)
        digest = reference.digest or (tagged.digest if tagged else None)
        if digest is None or not self._store.blobs.has(digest):
            return None
        try:
            image = load_image(self._store.blobs, digest, platform)
        except NotInStore:
            return None
        # a tag may have been pulled for another platform
        fits = select([replace(image.descriptor, platform=image.config.platform)], platform)
        return image if fits else None

    def _may_name(self, reference: Reference, platform: Platform) -> bool:
        """Tell whether a tag may become that of an image for ``platform``: not where it has one for this machine."""
        return platform == Platform.host() or self._stored(reference, Platform.host()) is None

    def _resolve_anew(self, reference: Reference, platform: Platform) -> ResolvedBase:
        from ocibuild.registry import resolve

        strict = platform == self._asked_for
        resolved = resolve(self._registry(), self._store, reference, platform, strict=strict)
        for layer in resolved.manifest.layers:  # a push beside it need not send these
            self._store.origins.add(layer.digest, reference)
        is_tag = reference.tag is not None and reference.digest is None
        if self._keep_tags and is_tag and self._may_name(reference, platform):
            self._store.tags.set(reference, replace(resolved.descriptor, platform=resolved.config.platform))
        return ResolvedBase(resolved.descriptor.digest, resolved.config)


def _base(image: StoredImage) -> ResolvedBase:
    return ResolvedBase(image.descriptor.digest, image.config)
