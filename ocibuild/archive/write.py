"""Images written as an OCI image layout: as a tar, or into a directory. See image-spec, image-layout.md."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, BinaryIO, Final

from ocibuild.archive.contents import contents
from ocibuild.archive.destination import destination, replacing
from ocibuild.archive.layout import blob_name
from ocibuild.archive.naming import index_of, merged, named
from ocibuild.errors import OcibuildError
from ocibuild.layer import Entry, Kind, TarWriter
from ocibuild.oci import Index, mediatypes, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocibuild.oci import Descriptor, Digest, Reference
    from ocibuild.store import Blobs

LAYOUT_FILE: Final = json.dumps({"imageLayoutVersion": "1.0.0"}).encode()
_PIECE = 1 << 20


def write_oci_archive(blobs: Blobs, descriptor: Descriptor, names: Sequence[Reference], to: str | BinaryIO) -> None:
    """Write the image as a tar of a layout to a path, to a stream, or to stdout for ``-``.

    The same image and names give the same bytes. A file appears whole or not at all, in place of one that was there;
    a device or FIFO is written as it is. Raises NotInStore, DigestMismatch before anything is written; NoSpace, and
    OcibuildError where the path cannot be written.
    """
    reached = contents(blobs, descriptor)
    index = index_of(named(descriptor, names))
    with destination(to) as stream:
        _write_tar(TarWriter(stream.write), blobs, reached, index)


def _write_tar(tar: TarWriter, blobs: Blobs, reached: Sequence[Descriptor], index: bytes) -> None:
    tar.add(_file("oci-layout", len(LAYOUT_FILE)), [LAYOUT_FILE])
    tar.add(_file("index.json", len(index)), [index])
    tar.add(_directory("blobs"))
    seen = ""
    for blob in reached:  # sorted by digest, and so by algorithm
        if blob.digest.algorithm != seen:
            seen = blob.digest.algorithm
            tar.add(_directory(f"blobs/{seen}"))
        tar.add(_file(blob_name(blob.digest), blob.size), _pieces(blobs, blob.digest))
    tar.close()


def write_oci_layout(blobs: Blobs, descriptor: Descriptor, names: Sequence[Reference], folder: str) -> None:
    """Write the image into a layout at ``folder``: a new one, or beside what an existing one holds.

    Its ``index.json`` changes last, so the layout is valid at every moment; an entry with the same tag is replaced.
    One writer at a time. Raises as ``write_oci_archive`` does, and OcibuildError where ``folder`` holds something else.
    """
    reached = contents(blobs, descriptor)
    _make_layout(folder)
    for blob in reached:
        path = os.path.join(folder, blob_name(blob.digest))
        if not _has_size(path, blob.size):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            _write_file(path, _pieces(blobs, blob.digest))
    index = os.path.join(folder, "index.json")
    _write_file(index, [index_of(merged(_entries(index), named(descriptor, names)))])


def _make_layout(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
        there = os.listdir(folder)
    except OSError as error:
        raise OcibuildError(f"{folder}: {error.strerror}", remedy="choose another folder for the layout") from error
    if "oci-layout" in there:
        return
    if there:
        raise OcibuildError(f"{folder} is not empty and not an OCI layout", remedy="choose another folder")
    _write_file(os.path.join(folder, "oci-layout"), [LAYOUT_FILE])


def _entries(path: str) -> tuple[Descriptor, ...]:
    try:
        with open(path, "rb") as file:
            index = parse_manifest(file.read(), mediatypes.OCI_INDEX)
    except FileNotFoundError:
        return ()
    return index.manifests if isinstance(index, Index) else ()


def _has_size(path: str, size: int) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) == size


def _write_file(path: str, pieces: Iterator[bytes] | Sequence[bytes]) -> None:
    with replacing(path) as file:
        for piece in pieces:
            file.write(piece)


def _pieces(blobs: Blobs, digest: Digest) -> Iterator[bytes]:
    with blobs.open(digest) as blob:
        yield from iter(lambda: blob.read(_PIECE), b"")


def _file(name: str, size: int) -> Entry:
    return Entry(name, Kind.FILE, 0o644, size=size)


def _directory(name: str) -> Entry:
    return Entry(name, Kind.DIRECTORY, 0o755)
