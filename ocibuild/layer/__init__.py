"""Tar in and tar out: layers unpacked for overlayfs, and changes packed as layers."""

from ocibuild.layer.apply import Applied, apply, verify
from ocibuild.layer.changes import Change, Changed, Opaque, Removed
from ocibuild.layer.compression import compression_threads, decompress
from ocibuild.layer.copying import FileCopier, copy_attributes
from ocibuild.layer.entry import Entry, Kind, clean_name
from ocibuild.layer.estargz import ANNOTATIONS, TABLE_DIGEST, is_estargz, pack_estargz
from ocibuild.layer.header import split_header
from ocibuild.layer.limits import Allowance, Meter
from ocibuild.layer.materialise import copy_entry, link_from, materialise
from ocibuild.layer.merged import Merged
from ocibuild.layer.owners import MappedOwners, Nature, Ownership, RealOwners, RecordedOwners
from ocibuild.layer.pack import pack
from ocibuild.layer.packing import packing
from ocibuild.layer.plain import is_compressed, plain_bytes
from ocibuild.layer.reader import Pieces, Readable, TarReader
from ocibuild.layer.retime import entries_of, retime
from ocibuild.layer.settle import settle
from ocibuild.layer.whiteouts import is_mark, is_opaque, is_whiteout, make_opaque, make_whiteout
from ocibuild.layer.writer import TarWriter
from ocibuild.layer.xattrs import put_xattrs, read_xattrs

__all__ = [
    "ANNOTATIONS",
    "TABLE_DIGEST",
    "Allowance",
    "Applied",
    "Change",
    "Changed",
    "Entry",
    "FileCopier",
    "Kind",
    "MappedOwners",
    "Merged",
    "Meter",
    "Nature",
    "Opaque",
    "Ownership",
    "Pieces",
    "Readable",
    "RealOwners",
    "RecordedOwners",
    "Removed",
    "TarReader",
    "TarWriter",
    "apply",
    "clean_name",
    "compression_threads",
    "copy_attributes",
    "copy_entry",
    "decompress",
    "entries_of",
    "is_compressed",
    "is_estargz",
    "is_mark",
    "is_opaque",
    "is_whiteout",
    "link_from",
    "make_opaque",
    "make_whiteout",
    "materialise",
    "pack",
    "pack_estargz",
    "packing",
    "plain_bytes",
    "put_xattrs",
    "read_xattrs",
    "retime",
    "settle",
    "split_header",
    "verify",
]
