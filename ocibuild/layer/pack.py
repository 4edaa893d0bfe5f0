"""Changes packed as a layer in one pass: read, hashed, compressed and handed on at the same time."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from ocibuild.errors import InvalidLayer
from ocibuild.fs import open_readable
from ocibuild.layer.changes import Change, Changed, Opaque, Removed
from ocibuild.layer.entry import Entry, Kind, shown
from ocibuild.layer.packing import packing
from ocibuild.layer.whiteouts import is_whiteout, opaque_name, whiteout_name
from ocibuild.layer.writer import TarWriter
from ocibuild.layer.xattrs import read_xattrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ocibuild.fs import Root
    from ocibuild.layer.chunks import Chunker
    from ocibuild.layer.owners import Ownership
    from ocibuild.oci import Compression, DiffID


def pack(
    changes: Iterable[Change],
    root: Root,
    sink: Callable[[bytes], object],
    *,
    compression: Compression,
    owners: Ownership,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> DiffID:
    """Write the changes of the tree ``root`` as a layer to ``sink``, which is called from one thread, this or another.

    Entries come in the order of the changes. A second name of a file becomes a hard link; a socket is left out, and so
    are the extended attributes of overlayfs, of recorded owners and of SELinux. The bytes are the same whatever the
    number of ``threads`` that compress them. ``progress`` hears how many further bytes of the plain tar were made. No
    thread outlives the call. Raises InvalidLayer for what no layer can hold and for a file that changes while it is
    read, and whatever ``sink`` raises.
    """
    with packing(sink, compression=compression, threads=threads, progress=progress) as packed:
        _write_tar(changes, root, packed.chunks, owners)
    return packed.diff_id


def _write_tar(changes: Iterable[Change], root: Root, chunks: Chunker, owners: Ownership) -> None:
    tar = TarWriter(chunks.write)
    packer = _Packer(tar, chunks, root, owners)
    for change in changes:
        match change:
            case Changed(name, status):
                packer.add(name, status)
            case Removed(name):
                tar.add(Entry(whiteout_name(name), Kind.FILE, mode=0))
            case Opaque(name):
                tar.add(Entry(opaque_name(name), Kind.FILE, mode=0))
            case _:
                assert_never(change)
    tar.close()


class _Packer:
    """Adds files of a tree to a tar, and remembers those that have several names."""

    def __init__(self, tar: TarWriter, chunks: Chunker, root: Root, owners: Ownership) -> None:
        self._tar = tar
        self._chunks = chunks
        self._root = root
        self._owners = owners
        self._names: dict[tuple[int, int], str] = {}

    def add(self, name: str, status: os.stat_result | None) -> None:
        try:
            self._add(name, status)
        except FileNotFoundError as error:
            raise InvalidLayer(f"{shown(name)} was removed while it was being packed") from error

    def _add(self, name: str, status: os.stat_result | None) -> None:
        dir_fd, last = self._root.borrow_parent(name)
        status = status or os.stat(last, dir_fd=dir_fd, follow_symlinks=False)
        if stat.S_ISSOCK(status.st_mode):
            return
        if is_whiteout(status):
            raise InvalidLayer(f"{shown(name)}: a character device 0:0 would be taken for a whiteout")
        if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1 and (first := self._first_name(name, status)):
            entry = self._entry(name, f"/proc/self/fd/{dir_fd}/{last}", status)
            self._tar.add(replace(entry, kind=Kind.HARDLINK, linkname=first, xattrs={}, size=0, device=(0, 0)))
        elif stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            self._add_opened(name, dir_fd, last, status)
        else:
            entry = self._entry(name, f"/proc/self/fd/{dir_fd}/{last}", status)
            if entry.kind is Kind.SYMLINK:
                entry.linkname = os.readlink(last, dir_fd=dir_fd)
            self._tar.add(entry)

    def _first_name(self, name: str, status: os.stat_result) -> str | None:
        """Return the name under which this file was added already."""
        first = self._names.setdefault((status.st_dev, status.st_ino), name)
        return first if first != name else None

    def _add_opened(self, name: str, dir_fd: int, last: str, status: os.stat_result) -> None:
        fd = open_readable(last, dir_fd)
        try:
            entry = self._entry(name, fd, status)
            self._tar.begin(entry)
            self._tar.end(entry, self._chunks.read(fd, entry.size) if entry.kind is Kind.FILE else 0)
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
