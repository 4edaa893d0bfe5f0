"""From what a user asks for to the place where that cache is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.cache.place import Place
    from ocibuild.cache.spec import CacheFrom, CacheTo
    from ocibuild.oci import Platform
    from ocibuild.registry import Registry
    from ocibuild.store import Store


def place_of(
    spec: CacheFrom | CacheTo, registry: Callable[[], Registry], store: Store, platforms: Sequence[Platform]
) -> Place:
    """Return the cache that ``spec`` means, of an image that is one the parts for these; nothing is asked yet."""
    if spec.reference is not None:
        from ocibuild.cache.repository import Repository

        return Repository(registry, store, spec.reference, platforms)
    assert spec.folder is not None
    from ocibuild.cache.folder import Folder

    return Folder(store, spec.folder)
