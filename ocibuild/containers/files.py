"""The files of a container: what it changed, and all of them."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from ocibuild.fs import Root
from ocibuild.layer.changes import Changed, Opaque, Removed
from ocibuild.rootfs.below import Below
from ocibuild.rootfs.changes import changes
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.layer.owners import Ownership
    from ocibuild.rootfs.snapshotter import Snapshotter
    from ocibuild.store import Container, Store


class Difference(NamedTuple):
    """What became of a path, as docker says it: ``A`` added, ``C`` changed, ``D`` deleted."""

    kind: str
    path: str


def differences(store: Store, container: Container) -> Iterator[Difference]:
    """Yield what a container has changed of its image, in the order of the paths; raise StoreError."""
    stack, own = store.containers.stack(container), store.containers.own(container)
    with Below(stack) as below, Root.open(own.path) as upper:
        for change in changes(upper, lambda: below.merged):
            match change:
                case Removed(name):
                    yield Difference("D", f"/{name}")
                case Opaque():
                    continue
                case Changed(name, status):
                    there = below.merged.find(name)
                    is_directory = status is not None and stat.S_ISDIR(status.st_mode)
                    if there is not None and is_directory and not stat.S_ISDIR(there.status.st_mode):
                        there = None
                    yield Difference("A" if there is None else "C", f"/{name}")


def export(
    store: Store,
    snapshotter: Snapshotter,
    ownership: Ownership,
    container: Container,
    write: Callable[[bytes], object],
) -> None:
    """Write all files of a container as a tar; raise StoreError where they are of no use to this process."""
    from ocibuild.output.tree import write_tree_tar

    stack = (*store.containers.stack(container), store.containers.own(container))
    with snapshotter.reading(stack) as root:
        write_tree_tar(root, ownership, write)
