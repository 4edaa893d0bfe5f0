"""All images of an archive, into the store."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING

from ocibuild.archive import archive_entries, plain_file
from ocibuild.errors import NotFound
from ocibuild.store import StoreDestination
from ocibuild.transfer.copying import copy
from ocibuild.transfer.plan import Selection, make_plan
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.archive import ArchiveEntry
    from ocibuild.oci import Descriptor, Platform, Reference
    from ocibuild.store import Store
    from ocibuild.transfer.plan import Plan


class LoadedImage(NamedTuple):
    """An image that was loaded, and the names that it has got."""

    descriptor: Descriptor
    names: tuple[Reference, ...]


def load(
    store: Store,
    path: str,
    *,
    platform: Platform | None,
    limit: int,
    progress: Callable[[Descriptor, int], None],
    abandon: Callable[[], None],
) -> list[LoadedImage]:
    """Load all images of a layout, or of an archive in any form, compressed or not; ``-`` is standard input.

    Of an index all its images come, or the one for ``platform``; of one that is not complete, as docker writes them,
    that for this machine. A compressed archive may have ``limit`` plain bytes. No name is given before the manifests of
    all images were read. Raises what ``archive_entries``, ``plain_file`` and ``copy`` raise.
    """
    subject = "standard input" if path == "-" else path
    is_folder = os.path.isdir(path)
    with (
        nullcontext(path) if is_folder else plain_file(path, store.ingest, limit=limit) as plain,
        archive_entries(plain, subject) as entries,
    ):
        plans = [_plan(entry, platform) for entry in entries]
        for entry, plan in zip(entries, plans, strict=True):
            copy(entry.source, StoreDestination(store, *entry.names), plan, progress=progress, abandon=abandon)
        return [LoadedImage(plan.root.descriptor, entry.names) for entry, plan in zip(entries, plans, strict=True)]


def _plan(entry: ArchiveEntry, platform: Platform | None) -> Plan:
    if platform is not None:
        return make_plan(entry.source, Selection((platform,)))
    try:
        return make_plan(entry.source, Selection(everything=True))
    except NotFound:
        return make_plan(entry.source, Selection())
