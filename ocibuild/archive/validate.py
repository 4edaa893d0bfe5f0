"""Images validated down to the last byte: a layout in a directory, an archive of one, or an image of the store."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from ocibuild.archive.faults import Fault, Report
from ocibuild.archive.layout import LayoutDirectory, open_source
from ocibuild.archive.walk import LayoutBlobs, Walk
from ocibuild.errors import InvalidDocument, InvalidLayer
from ocibuild.fs import Root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.archive.sound import BlobSource
    from ocibuild.oci import Descriptor
    from ocibuild.store import Store


def validate_path(path: str, *, all_faults: bool = False) -> Report:
    """Validate all that a layout holds: one in a directory, or an archive of one.

    Every document is checked against its schema, every blob against its size and digest, every layer is decompressed
    and its diff ID compared with the config's. The report has the first fault, or every one with ``all_faults``.
    Raises OcibuildError where the path cannot be read at all.
    """
    try:
        with open_source(path) as source:
            walk = Walk(LayoutBlobs(source))
            return _report(walk, path, walk.layout(source, path), all_faults=all_faults)
    except (InvalidDocument, InvalidLayer) as error:
        return Report(path, (Fault(path, error.message),), 0, 0)


def validate_stored(store: Store, descriptor: Descriptor, *, subject: str, all_faults: bool = False) -> Report:
    """Validate the image or index of the store that ``descriptor`` names; ``subject`` is how messages call it."""
    with LayoutDirectory(Root.open(store.root)) as source:
        return validate_image(LayoutBlobs(source), descriptor, subject=subject, all_faults=all_faults)


def validate_image(source: BlobSource, descriptor: Descriptor, *, subject: str, all_faults: bool = False) -> Report:
    """Validate the image or index that ``descriptor`` names, wherever it is; ``subject`` is how messages call it."""
    walk = Walk(source)
    return _report(walk, subject, walk.entry(descriptor, subject), all_faults=all_faults)


def _report(walk: Walk, subject: str, faults: Iterator[Fault], *, all_faults: bool) -> Report:
    found = tuple(islice(faults, None if all_faults else 1))
    return Report(subject, found, len(walk.sound), sum(walk.sound.values()))
