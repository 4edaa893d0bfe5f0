"""Tar archives that ADD unpacks: how one is recognised, and its files put into a tree.

They are not layers: a name that begins with ``.wh.`` is a file like any other, and what the tree has already stays,
symlinks to directories included, unless an entry has its very name.
"""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ocibuild.errors import InvalidLayer, SourceError
from ocibuild.layer.entry import Kind
from ocibuild.layer.header import split_header
from ocibuild.layer.plain import plain_bytes
from ocibuild.layer.reader import TarReader

if TYPE_CHECKING:
    from ocibuild.fs import Root
    from ocibuild.layer.entry import Entry
    from ocibuild.solver.operations.placing import Placer

_BLOCK = 512


def is_archive(root: Root, name: str) -> bool:
    """Tell whether a file is a tar, plain or compressed with gzip, bzip2, xz or zstd, with an entry at least."""
    if not stat.S_ISREG(root.lstat(name).st_mode):
        return False
    with open(root.open_file(name), "rb") as file, plain_bytes(file) as plain:
        try:
            start = b""
            while len(start) < _BLOCK and (piece := plain.read(_BLOCK - len(start))):
                start += piece
            if len(start) < _BLOCK or not start.strip(b"\0"):
                return False
            split_header(start)
        except InvalidLayer:
            return False
        return True


def unpack(source: Root, name: str, placer: Placer, *, owner: tuple[int, int] | None) -> None:
    """Put the files of the archive ``name`` of ``source`` where ``placer`` does; ``owner`` goes before their own.

    The entry of the archive's own root counts for nothing. Raises SourceError where the archive is damaged or holds
    what cannot be put there.
    """
    with open(source.open_file(name), "rb") as file, plain_bytes(file) as plain:
        reader = TarReader(plain)
        try:
            for entry in reader:
                if entry.name != ".":
                    _put(replace(entry, uid=owner[0], gid=owner[1]) if owner else entry, reader, placer)
            placer.finish()
        except InvalidLayer as error:
            raise SourceError(f"{name!r} cannot be unpacked: {error.message}") from error
        except (FileNotFoundError, NotADirectoryError) as error:
            where = f"{error.filename!r}: " if error.filename else ""
            raise SourceError(f"{name!r} cannot be unpacked: {where}{error.strerror}") from error


def _put(entry: Entry, reader: TarReader, placer: Placer) -> None:
    placer.parents(entry.name)
    there = placer.there(entry.name)
    is_directory = entry.kind is Kind.DIRECTORY
    if there is not None and not (is_directory and stat.S_ISDIR(there.st_mode)) and entry.linkname != entry.name:
        placer.root.remove(entry.name)
    match entry.kind:
        case Kind.DIRECTORY:
            placer.directory(entry)
        case Kind.FILE:
            placer.file(entry, partial(_fill, reader, entry.size))
        case Kind.HARDLINK if entry.linkname == entry.name:
            pass
        case Kind.HARDLINK:
            placer.hard_link(entry.name, entry.linkname)
        case Kind.CHARACTER if entry.device == (0, 0):
            raise InvalidLayer(f"{entry.name!r} is a character device 0:0, which no layer can hold")
        case _:
            placer.node(entry)


def _fill(reader: TarReader, size: int, fd: int) -> None:
    for offset, piece in reader.pieces():
        done = 0
        while done < len(piece):
            done += os.pwrite(fd, piece[done:], offset + done)
    os.ftruncate(fd, size)
