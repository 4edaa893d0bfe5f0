"""The changes of a step, read off its snapshot, which holds them and nothing else."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ocibuild.fs import Root
from ocibuild.layer.changes import Changed, Opaque, Removed
from ocibuild.layer.pack import pack
from ocibuild.layer.whiteouts import is_mark, is_opaque, is_whiteout
from ocibuild.oci import Compression, layer_type
from ocibuild.rootfs.below import Below
from ocibuild.store import Layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ocibuild.layer.changes import Change
    from ocibuild.layer.merged import Merged
    from ocibuild.layer.owners import Ownership
    from ocibuild.store import BlobWriter, Snapshot, Store


def changes(upper: Root, lower: Callable[[], Merged]) -> Iterator[Change]:
    """Yield what ``upper`` changes, parents before what is in them, in the order of the names' bytes.

    A whiteout gives ``Removed``, an opaque directory that hides anything of ``lower`` (all that is below, only asked
    for where it is needed) gives ``Opaque`` after its own ``Changed``. A socket, which no layer can hold, is at most
    the removal of what it hides. The root directory itself is not a change.
    """
    for name, status in upper.walk():
        if is_whiteout(status):
            if not is_mark(name):
                yield Removed(name)
            continue
        if stat.S_ISSOCK(status.st_mode):
            if lower().find(name) is not None:
                yield Removed(name)
            continue
        yield Changed(name, status)
        if stat.S_ISDIR(status.st_mode) and _is_opaque(upper, name) and _is_directory(lower(), name):
            yield Opaque(name)


def pack_changes(
    store: Store,
    ownership: Ownership,
    stack: Sequence[Snapshot],
    snapshot: Snapshot,
    *,
    compression: Compression,
    threads: int,
    progress: Callable[[int], None] | None,
    large: Callable[[BlobWriter], None] | None,
) -> Layer:
    """Pack the changes of ``snapshot``, which lies on ``stack``, the oldest first, into a layer in the store.

    ``large`` hears of its blob while that is still being written, if it comes to be a large one.
    """
    with Below(stack) as below, Root.open(snapshot.path) as upper, store.blobs.writer() as blob:
        found = changes(upper, lambda: below.merged)
        diff_id = pack(
            found,
            upper,
            _telling(blob, large),
            compression=compression,
            owners=ownership,
            threads=threads,
            progress=progress,
        )
    return Layer(diff_id, blob.describe(layer_type(compression)))


_TOLD_OF = 32 << 20
"""Bytes of a layer from which on it is a large one."""


def _telling(blob: BlobWriter, large: Callable[[BlobWriter], None] | None) -> Callable[[bytes], None]:
    """Return what writes to a blob, and tells of it once it is large."""
    if large is None:
        return blob.write
    told = False

    def write(piece: bytes) -> None:
        nonlocal told
        blob.write(piece)
        if not told and blob.size >= _TOLD_OF:
            told = True
            large(blob)

    return write


def _is_opaque(upper: Root, name: str) -> bool:
    fd = upper.open_file(name, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return is_opaque(fd)
    finally:
        os.close(fd)


def _is_directory(lower: Merged, name: str) -> bool:
    found = lower.find(name)
    return found is not None and stat.S_ISDIR(found.status.st_mode)
