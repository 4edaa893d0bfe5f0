"""Changes packed as a layer in one pass: read, hashed, compressed, hashed again and handed on at the same time."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from ocibuild.errors import InvalidLayer
from ocibuild.fs import open_readable
from ocibuild.layer.changes import Change, Changed, Opaque, Removed
from ocibuild.layer.channel import Channel, pipeline
from ocibuild.layer.compression import PIECE, compressor
from ocibuild.layer.entry import Entry, Kind, shown
from ocibuild.layer.tally import Tally, drain
from ocibuild.layer.whiteouts import is_whiteout, opaque_name, whiteout_name
from ocibuild.layer.writer import TarWriter
from ocibuild.layer.xattrs import read_xattrs
from ocibuild.oci import DiffID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ocibuild.fs import Root
    from ocibuild.layer.owners import Ownership
    from ocibuild.oci import Compression, Digest


@dataclass(frozen=True, slots=True)
class Packed:
    """A layer that has been packed: its plain tar by ``diff_id`` and size, the blob by ``digest`` and size."""

    diff_id: DiffID
    plain_size: int
    digest: Digest
    size: int


def pack(
    changes: Iterable[Change],
    root: Root,
    sink: Callable[[bytes], None],
    *,
    compression: Compression,
    owners: Ownership,
    progress: Callable[[int], None] | None = None,
) -> Packed:
    """Write the changes of the tree ``root`` as a layer to ``sink``, which is called from one thread, this or another.

    Entries come in the order of the changes. A second name of a file becomes a hard link; a socket is left out, and so
    are the extended attributes of overlayfs, of recorded owners and of SELinux. ``progress`` hears how many further
    bytes of the plain tar were made. No thread outlives the call. Raises InvalidLayer for what no layer can hold and
    for a file that changes while it is read, and whatever ``sink`` raises.
    """
    plain_hash, blob_hash = Tally(), Tally()
    with pipeline() as parts:

        def start() -> tuple[Channel, ...]:
            plain, hashed, blob = parts.channel(), parts.channel(), parts.channel()
            parts.start(lambda: drain(hashed, plain_hash.add), "hash")
            parts.start(lambda: _compress(plain, compression, blob), "compress")
            parts.start(lambda: drain(blob, blob_hash.add, sink), "write")
            return hashed, plain

        buffer = _Joiner(start, progress)
        _write_tar(changes, root, buffer.write, owners)
        only = buffer.finish()
    if only is not None:  # threads would take longer to start than this
        plain_hash.add(only)
        machine = compressor(compression)
        for piece in filter(None, (machine.compress(only), machine.flush())):
            blob_hash.add(piece)
            sink(piece)
    return Packed(DiffID(plain_hash.digest()), plain_hash.size, blob_hash.digest(), blob_hash.size)


class _Joiner:
    """Joins short pieces, and hands all of them to the channels that ``start`` gives once there is more than one."""

    def __init__(self, start: Callable[[], tuple[Channel, ...]], progress: Callable[[int], None] | None) -> None:
        self._start = start
        self._channels: tuple[Channel, ...] = ()
        self._progress = progress
        self._held: list[bytes | memoryview] = []
        self._length = 0

    def write(self, piece: bytes | memoryview) -> None:
        self._held.append(piece)
        self._length += len(piece)
        if self._length >= PIECE:
            self.flush()

    def flush(self) -> None:
        self._channels = self._channels or self._start()
        joined = self._join()
        for channel in self._channels:
            channel.write(joined)

    def finish(self) -> bytes | None:
        """Finish the channels; where none was needed, return the only piece."""
        if not self._channels:
            return self._join()
        if self._length:
            self.flush()
        for channel in self._channels:
            channel.finish()
        return None

    def _join(self) -> bytes:
        joined = b"".join(self._held)
        self._held.clear()
        self._length = 0
        if self._progress is not None:
            self._progress(len(joined))
        return joined


def _compress(plain: Channel, compression: Compression, blob: Channel) -> None:
    machine = compressor(compression)
    for piece in plain:
        blob.write(machine.compress(piece))
    blob.write(machine.flush())
    blob.finish()


def _write_tar(
    changes: Iterable[Change], root: Root, write: Callable[[bytes | memoryview], object], owners: Ownership
) -> None:
    tar = TarWriter(write)
    packer = _Packer(tar, root, owners)
    for change in changes:
        match change:
            case Changed(name):
                packer.add(name)
            case Removed(name):
                tar.add(Entry(whiteout_name(name), Kind.FILE, mode=0))
            case Opaque(name):
                tar.add(Entry(opaque_name(name), Kind.FILE, mode=0))
            case _:
                assert_never(change)
    tar.close()


class _Packer:
    """Adds files of a tree to a tar, and remembers those that have several names."""

    def __init__(self, tar: TarWriter, root: Root, owners: Ownership) -> None:
        self._tar = tar
        self._root = root
        self._owners = owners
        self._names: dict[tuple[int, int], str] = {}

    def add(self, name: str) -> None:
        try:
            self._add(name)
        except FileNotFoundError as error:
            raise InvalidLayer(f"{shown(name)} was removed while it was being packed") from error

    def _add(self, name: str) -> None:
        dir_fd, last = self._root.borrow_parent(name)
        status = os.stat(last, dir_fd=dir_fd, follow_symlinks=False)
        if stat.S_ISSOCK(status.st_mode):
            return
        if is_whiteout(status):
            raise InvalidLayer(f"{shown(name)}: a character device 0:0 would be taken for a whiteout")
        if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1 and (first := self._first_name(name, status)):
            entry = self._entry(name, f"/proc/self/fd/{dir_fd}/{last}", status)
            self._tar.add(replace(entry, kind=Kind.HARDLINK, linkname=first, xattrs={}, size=0, device=(0, 0)))
        elif stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            self._add_opened(name, dir_fd, last)
        else:
            entry = self._entry(name, f"/proc/self/fd/{dir_fd}/{last}", status)
            if entry.kind is Kind.SYMLINK:
                entry.linkname = os.readlink(last, dir_fd=dir_fd)
            self._tar.add(entry)

    def _first_name(self, name: str, status: os.stat_result) -> str | None:
        """Return the name under which this file was added already."""
        first = self._names.setdefault((status.st_dev, status.st_ino), name)
        return first if first != name else None

    def _add_opened(self, name: str, dir_fd: int, last: str) -> None:
        fd = open_readable(last, dir_fd)
        try:
            entry = self._entry(name, fd, os.fstat(fd))
            self._tar.add(entry, _pieces(fd, entry.size) if entry.kind is Kind.FILE else ())
        finally:
            os.close(fd)

    def _entry(self, name: str, path: int | str, status: os.stat_result) -> Entry:
        nature = self._owners.read(path, status)
        return Entry(
            name,
            nature.kind,
            nature.mode,
            nature.uid,
            nature.gid,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            device=nature.device,
            xattrs=read_xattrs(path),
        )


def _pieces(fd: int, size: int) -> Iterator[bytes]:
    while size > 0 and (piece := os.read(fd, min(size, PIECE))):
        yield piece
        size -= len(piece)
