"""Images written as an OCI image layout: as a tar, or into a directory. See image-spec, image-layout.md."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO

from ocibuild.archive.contents import contents
from ocibuild.archive.destination import destination
from ocibuild.archive.dockerarchive import archive_manifest
from ocibuild.archive.layoutfolder import add_entries, has_blob, make_layout, new_folder, write_blob
from ocibuild.archive.layouttar import LayoutTar
from ocibuild.archive.naming import distinct, index_of, named
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocibuild.oci import Descriptor, Digest, Reference
    from ocibuild.store import Blobs

_PIECE = 1 << 20


class ArchiveForm(StrEnum):
    """The forms that images can be written in."""

    DOCKER = "docker-archive"
    OCI = "oci-archive"
    FOLDER = "oci-dir"


class NamedImage(NamedTuple):
    """An image, or an index of several, and the names that it gets."""

    descriptor: Descriptor
    names: tuple[Reference, ...] = ()


def write_archive(blobs: Blobs, images: Sequence[NamedImage], to: str | BinaryIO, *, for_docker: bool = False) -> None:
    """Write images as a tar of a layout to a path, to a stream, or to stdout for ``-``.

    ``for_docker`` adds the ``manifest.json`` that ``docker load`` of every age, podman and skopeo read. The same images
    and names give the same bytes. A file appears whole or not at all, in place of one that was there; a device or FIFO
    is written as it is. Raises NotInStore, DigestMismatch, and UnsupportedMediaType where an index is to be for docker,
    before anything is written; NoSpace, and OcibuildError where the path cannot be written.
    """
    reached = _contents(blobs, images)
    index = index_of(distinct([entry for image in images for entry in named(*image)]))
    listed = _docker_manifest(blobs, images, reached) if for_docker else None
    with destination(to) as stream:
        tar = LayoutTar(stream.write)
        tar.add_file("index.json", index)
        if listed is not None:
            tar.add_file("manifest.json", listed)
        for digest in sorted(reached):
            tar.add_blob(reached[digest], _pieces(blobs, digest))
        tar.close()


def write_layout(blobs: Blobs, images: Sequence[NamedImage], folder: str) -> None:
    """Write images into a layout at ``folder``: a new one, whole or not at all, or beside what an existing one holds.

    Its ``index.json`` changes last, so the layout is valid at every moment; an entry with the same tag is replaced.
    Raises as ``write_archive`` does, and OcibuildError where ``folder`` holds something else.
    """
    reached = _contents(blobs, images)
    if os.path.lexists(folder):
        _fill(folder, blobs, images, reached)
    else:
        with new_folder(folder) as made:
            _fill(made, blobs, images, reached)


def _fill(folder: str, blobs: Blobs, images: Sequence[NamedImage], reached: dict[Digest, Descriptor]) -> None:
    make_layout(folder)
    for blob in reached.values():
        if not has_blob(folder, blob):
            write_blob(folder, blob, _pieces(blobs, blob.digest))
    add_entries(folder, distinct([entry for image in images for entry in named(*image)]))


def _contents(blobs: Blobs, images: Sequence[NamedImage]) -> dict[Digest, Descriptor]:
    return {blob.digest: blob for image in images for blob in contents(blobs, image.descriptor)}


def _docker_manifest(blobs: Blobs, images: Sequence[NamedImage], reached: dict[Digest, Descriptor]) -> bytes:
    listed = []
    for descriptor, names in images:
        data = blobs.read(descriptor.digest)
        subject = names[0].familiar() if names else str(descriptor.digest)
        listed += archive_manifest(subject, data, descriptor.media_type, names, reached)
    return json.dumps(listed, separators=(",", ":")).encode()


def _pieces(blobs: Blobs, digest: Digest) -> Iterator[bytes]:
    with blobs.open(digest) as blob:
        yield from iter(lambda: blob.read(_PIECE), b"")
