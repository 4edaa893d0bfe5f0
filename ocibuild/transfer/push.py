"""An image of the store, into registries."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from ocibuild.registry import RegistryDestination
from ocibuild.store import StoreSource
from ocibuild.transfer.copying import copy
from ocibuild.transfer.plan import Selection, make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.oci import Descriptor, Reference
    from ocibuild.registry import Registry
    from ocibuild.store import Store


def push(
    registry: Registry,
    store: Store,
    descriptor: Descriptor,
    references: Sequence[Reference],
    *,
    progress: Callable[[Descriptor, int], None],
) -> None:
    """Push what ``descriptor`` names under every one of ``references``: blobs, then manifests, then tags.

    Only what a repository does not have is sent, once however many tags it gets. ``progress`` is told how many bytes
    of a blob are there; it is called from several threads. Raises NotInStore before anything is sent where a
    manifest is missing in the store, RegistryError, Unauthorized.
    """
    source = StoreSource(store, descriptor, str(descriptor.digest))
    plan = make_plan(source, Selection(everything=True))
    ordered = sorted(references, key=lambda reference: reference.repository)
    for _, names in groupby(ordered, key=lambda reference: reference.repository):
        destination = RegistryDestination(registry, list(names), store.origins)
        copy(source, destination, plan, progress=progress, abandon=registry.stop)
