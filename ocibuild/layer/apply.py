"""A compressed layer unpacked in one pass: read, decompressed, hashed and written at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocibuild.errors import DigestMismatch
from ocibuild.layer.channel import Channel, pipeline
from ocibuild.layer.compression import decompress
from ocibuild.layer.reader import TarReader
from ocibuild.layer.tally import Tally, drain
from ocibuild.layer.unpack import Unpacker
from ocibuild.oci import DiffID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ocibuild.fs import Root
    from ocibuild.layer.owners import Ownership
    from ocibuild.layer.reader import Readable
    from ocibuild.oci import Compression


@dataclass(frozen=True, slots=True)
class Applied:
    """A layer that has been unpacked.

    ``size`` is that of the plain tar in bytes. ``implied`` are directories that had to be made and have no entry in
    this layer (``.`` among them where the root has none), parents first; ``links`` are hard links, name and target,
    whose target is not in this layer. Both wait for ``settle()``.
    """

    diff_id: DiffID
    size: int
    implied: tuple[str, ...]
    links: tuple[tuple[str, str], ...]


def apply(
    blob: Readable,
    compression: Compression,
    root: Root,
    *,
    owners: Ownership,
    expect: DiffID | None = None,
    progress: Callable[[int], None] | None = None,
) -> Applied:
    """Unpack one layer into the empty directory ``root``, in the form that overlayfs stacks with ``userxattr``.

    A whiteout becomes a character device 0:0, an opaque one the attribute ``user.overlay.opaque``; of entries with one
    name the last one counts. ``progress`` hears from another thread how many further bytes of the blob were read.
    No thread outlives the call. Raises InvalidLayer, NoSpace, and DigestMismatch where the diff ID is not ``expect``;
    what was unpacked by then stays for the caller to remove.
    """
    tally = Tally(expect)
    unpacker = Unpacker(root, owners)
    with pipeline() as parts:
        plain, hashed = parts.channel(), parts.channel()
        parts.start(lambda: _fan_out(decompress(blob, compression, progress), (hashed, plain)), "decompress")
        parts.start(lambda: drain(hashed, tally.add), "hash")
        _unpack(plain, unpacker)
    diff_id = DiffID(tally.digest())
    if expect is not None and diff_id != expect:
        raise DigestMismatch(f"the layer's tar is {diff_id}, not {expect}", remedy="remove and fetch the image again")
    unpacker.finish()
    return Applied(diff_id, tally.size, tuple(sorted(unpacker.implied)), tuple(unpacker.links.items()))


def _fan_out(pieces: Iterable[bytes], channels: tuple[Channel, ...]) -> None:
    for piece in pieces:
        for channel in channels:
            channel.write(piece)
    for channel in channels:
        channel.finish()


def _unpack(plain: Channel, unpacker: Unpacker) -> None:
    reader = TarReader(plain)
    for entry in reader:
        unpacker.add(entry, reader)
    drain(plain)  # what follows the end of the archive counts for the diff ID alone
