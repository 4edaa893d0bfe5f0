"""A compressed layer unpacked or verified in one pass: read, decompressed, hashed and used at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import DigestMismatch
from ocibuild.layer.channel import Channel, pipeline
from ocibuild.layer.limits import Meter
from ocibuild.layer.reader import TarReader
from ocibuild.layer.tally import Tally, drain
from ocibuild.layer.unpack import Unpacker
from ocibuild.layer.whiteouts import parse_whiteout
from ocibuild.oci import DiffID, Limits
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ocibuild.fs import Root
    from ocibuild.layer.limits import Allowance
    from ocibuild.layer.owners import Ownership
    from ocibuild.layer.reader import Readable
    from ocibuild.oci import Compression

_LIMITS = Limits()


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
    limits: Limits = _LIMITS,
    allowance: Allowance | None = None,
    name: str = "",
    progress: Callable[[int], None] | None = None,
    outline: bool = False,
) -> Applied:
    """Unpack one layer into the empty directory ``root``, in the form that overlayfs stacks with ``userxattr``.

    A whiteout becomes a character device 0:0, an opaque one the attribute ``user.overlay.opaque``; of entries with one
    name the last one counts. ``allowance`` counts for all layers of an image; without one, this layer is all of it.
    ``name`` is what errors call the layer. ``progress`` hears from another thread how many further bytes of the blob
    were read. With ``outline`` regular files are made empty, and nobody's. No thread outlives the call. Raises
    InvalidLayer, NoSpace, and DigestMismatch where the diff ID is not ``expect``; what was unpacked by then stays for
    the caller to remove.
    """
    meter = Meter(limits, allowance, name)
    unpacker = Unpacker(root, owners, meter, outline=outline)
    tally = _through(
        meter.plain_bytes(blob, compression, progress), expect, lambda plain: _unpack(plain, unpacker, meter)
    )
    diff_id = _checked(tally, expect, name)
    unpacker.finish()
    return Applied(diff_id, tally.size, tuple(sorted(unpacker.implied)), tuple(unpacker.links.items()))


def verify(
    blob: Readable,
    compression: Compression,
    *,
    expect: DiffID | None = None,
    limits: Limits = _LIMITS,
    allowance: Allowance | None = None,
    name: str = "",
    progress: Callable[[int], None] | None = None,
) -> int:
    """Read one layer to its end, all headers of its tar too, and return its plain size in bytes; nothing is unpacked.

    This is for machines where nothing can be unpacked. Arguments and errors are those of ``apply()``; what only a file
    system can tell, such as a name that lies below a file, is not found.
    """
    meter = Meter(limits, allowance, name)
    tally = _through(meter.plain_bytes(blob, compression, progress), expect, lambda plain: _read(plain, meter))
    _checked(tally, expect, name)
    return tally.size


def _through(pieces: Iterable[bytes], like: DiffID | None, use: Callable[[Channel[bytes]], None]) -> Tally:
    """Give the pieces to ``use`` in this thread, and hash them in another."""
    tally = Tally(like)
    with pipeline() as parts:
        plain, hashed = parts.channel(), parts.channel()
        parts.start(lambda: _fan_out(pieces, (hashed, plain)), "decompress")
        parts.start(lambda: drain(hashed, tally.add), "hash")
        use(plain)
        drain(plain)  # what follows the end of the archive counts for the diff ID alone
    return tally


def _checked(tally: Tally, expect: DiffID | None, name: str) -> DiffID:
    diff_id = DiffID(tally.digest())
    if expect is not None and diff_id != expect:
        called = f"{name}: " if name else ""
        raise DigestMismatch(
            f"{called}the layer's tar is {diff_id}, not {expect}", remedy="remove and fetch the image again"
        )
    return diff_id


def _fan_out(pieces: Iterable[bytes], channels: tuple[Channel[bytes], ...]) -> None:
    for piece in pieces:
        for channel in channels:
            channel.write(piece)
    for channel in channels:
        channel.finish()


def _unpack(plain: Channel[bytes], unpacker: Unpacker, meter: Meter) -> None:
    reader = TarReader(plain)
    for entry in reader:
        meter.entry(reader.holes)
        unpacker.add(entry, reader)


def _read(plain: Channel[bytes], meter: Meter) -> None:
    reader = TarReader(plain)
    for entry in reader:
        parse_whiteout(entry.name)
        meter.entry(reader.holes)
