"""The files of an image that was built, in a tar or a folder of the user's."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ocibuild.archive import destination, translating
from ocibuild.fs import Root
from ocibuild.output import Kind
from ocibuild.output.tree import write_tree_folder, write_tree_tar
from ocibuild.rootfs.stored import unpack_stored
from ocibuild.sandbox import IDs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.machine import Machine
    from ocibuild.oci import Limits
    from ocibuild.output import OutputSpec
    from ocibuild.output.tree import Lost
    from ocibuild.store import Store, StoredImage


def write_tree(
    output: OutputSpec,
    image: StoredImage,
    store: Store,
    machine: Machine,
    limits: Callable[[], Limits],
    warn: Callable[[str], None],
) -> None:
    """Write the files of an image as ``output`` says; a tar appears whole or not at all, a folder is filled.

    ``warn`` hears what a folder of this user could not be given. Raises NoSpace, OcibuildError where it cannot be
    written.
    """
    with _tree(image, store, machine, limits, warn) as root:
        if output.kind is Kind.TAR:
            with destination(output.dest) as stream:
                write_tree_tar(root, machine.ownership(), stream.write)
            return
        with translating(output.dest):
            os.makedirs(output.dest, exist_ok=True)
            with Root.open(output.dest) as folder:
                keeps_owners = machine.identity is not None and machine.identity.ids is IDs.ALL
                lost = write_tree_folder(root, machine.ownership(), folder, keeps_owners=keeps_owners)
    if any(lost):
        warn(f"{output.dest}: {_told(lost)}")


@contextmanager
def _tree(
    image: StoredImage, store: Store, machine: Machine, limits: Callable[[], Limits], warn: Callable[[str], None]
) -> Iterator[Root]:
    stack = unpack_stored(store, image.layers, ownership=machine.ownership(), limits=limits)
    with closing(machine.snapshotter(store, warn)) as snapshotter, snapshotter.reading(stack) as root:
        yield root


def _told(lost: Lost) -> str:
    said = {
        "files belong to you instead of their owners": lost.owners,
        "devices were left out": lost.devices,
        "attributes were left out": lost.attributes,
    }
    return ", ".join(f"{count} {what}" for what, count in said.items() if count)
