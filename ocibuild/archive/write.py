"""Images written as an OCI image layout: as a tar, or into a directory. See image-spec, image-layout.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from ocibuild.archive.contents import contents
from ocibuild.archive.destination import destination
from ocibuild.archive.layoutfolder import add_entries, has_blob, make_layout, write_blob
from ocibuild.archive.layouttar import LayoutTar
from ocibuild.archive.naming import index_of, named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocibuild.oci import Descriptor, Digest, Reference
    from ocibuild.store import Blobs

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
        tar = LayoutTar(stream.write)
        tar.add_file("index.json", index)
        for blob in reached:
            tar.add_blob(blob, _pieces(blobs, blob.digest))
        tar.close()


def write_oci_layout(blobs: Blobs, descriptor: Descriptor, names: Sequence[Reference], folder: str) -> None:
    """Write the image into a layout at ``folder``: a new one, or beside what an existing one holds.

    Its ``index.json`` changes last, so the layout is valid at every moment; an entry with the same tag is replaced.
    Raises as ``write_oci_archive`` does, and OcibuildError where ``folder`` holds something else.
    """
    reached = contents(blobs, descriptor)
    make_layout(folder)
    for blob in reached:
        if not has_blob(folder, blob):
            write_blob(folder, blob, _pieces(blobs, blob.digest))
    add_entries(folder, named(descriptor, names))


def _pieces(blobs: Blobs, digest: Digest) -> Iterator[bytes]:
    with blobs.open(digest) as blob:
        yield from iter(lambda: blob.read(_PIECE), b"")
