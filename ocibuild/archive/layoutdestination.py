"""A layout that an image is copied to: a folder, or a tar."""

from __future__ import annotations

import json
import os
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ocibuild.archive.destination import replacing
from ocibuild.archive.dockerarchive import archive_manifest
from ocibuild.archive.layoutfolder import add_entries, has_blob, make_layout, new_folder, write_blob
from ocibuild.archive.layouttar import LayoutTar
from ocibuild.archive.naming import index_of, named, tagged
from ocibuild.oci.verified import verified

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from ocibuild.oci import Descriptor, Reference
    from ocibuild.oci.image_io import BlobReader

_PARALLEL = 4


def told(pieces: Iterator[bytes], progress: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the pieces, and tell how many bytes there were with each."""
    done = 0
    progress(0)
    for piece in pieces:
        yield piece
        done += len(piece)
        progress(done)


class FolderLayoutDestination:
    """A layout in a folder, see ``ImageDestination``: what it has already stays, but the tag may be another image's.

    Blobs that were complete stay after an error: they have no name, and the next copy has them already.
    """

    def __init__(self, folder: str, subject: str, tag: str | None) -> None:
        self._folder = folder
        self._subject = subject
        self._tag = tag

    @property
    def subject(self) -> str:
        """See ``ImageDestination``."""
        return self._subject

    @property
    def parallel(self) -> int:
        """See ``ImageDestination``."""
        return _PARALLEL

    def has_blob(self, descriptor: Descriptor) -> bool:
        """See ``ImageDestination``."""
        return has_blob(self._folder, descriptor)

    def put_blob(
        self, descriptor: Descriptor, open_at: Callable[[int], BlobReader], progress: Callable[[int], None]
    ) -> None:
        """See ``ImageDestination``."""
        with closing(open_at(0)) as reader:
            write_blob(self._folder, descriptor, told(verified(reader, descriptor), progress))

    def put_manifest(self, descriptor: Descriptor, data: bytes) -> None:
        """See ``ImageDestination``."""
        if not has_blob(self._folder, descriptor):
            write_blob(self._folder, descriptor, [data])

    def finish(self, descriptor: Descriptor, data: bytes) -> None:
        """See ``ImageDestination``; an image that had the tag before has none any more."""
        self.put_manifest(descriptor, data)
        add_entries(self._folder, [tagged(descriptor, self._tag)])


class OciArchiveDestination:
    """A tar of a layout being written, see ``ImageDestination``: one blob at a time, so that its order is known."""

    def __init__(self, file: BinaryIO, subject: str, tag: str | None) -> None:
        self._tar = LayoutTar(file.write)
        self._writing = threading.Lock()
        self._subject = subject
        self._tag = tag

    @property
    def subject(self) -> str:
        """See ``ImageDestination``."""
        return self._subject

    @property
    def parallel(self) -> int:
        """See ``ImageDestination``."""
        return 1

    def has_blob(self, descriptor: Descriptor) -> bool:
        """See ``ImageDestination``."""
        return descriptor.digest in self._tar.blobs

    def put_blob(
        self, descriptor: Descriptor, open_at: Callable[[int], BlobReader], progress: Callable[[int], None]
    ) -> None:
        """See ``ImageDestination``; after an error the tar is of no use."""
        with self._writing, closing(open_at(0)) as reader:
            self._tar.add_blob(descriptor, told(verified(reader, descriptor), progress))

    def put_manifest(self, descriptor: Descriptor, data: bytes) -> None:
        """See ``ImageDestination``."""
        if not self.has_blob(descriptor):
            self._tar.add_blob(descriptor, [data])

    def finish(self, descriptor: Descriptor, data: bytes) -> None:
        """See ``ImageDestination``."""
        self._finish(descriptor, data, index_of([tagged(descriptor, self._tag)]))

    def _finish(self, descriptor: Descriptor, data: bytes, index: bytes) -> None:
        self.put_manifest(descriptor, data)
        self._tar.add_file("index.json", index)
        self._tar.close()


class DockerArchiveDestination(OciArchiveDestination):
    """A tar that is a layout and what ``docker load`` takes, see ``ImageDestination``; it holds one image."""

    def __init__(self, file: BinaryIO, subject: str, reference: Reference | None) -> None:
        super().__init__(file, subject, None)
        self._reference = reference

    def finish(self, descriptor: Descriptor, data: bytes) -> None:
        """See ``ImageDestination``; raises UnsupportedMediaType for an index, and what is no image."""
        names = [self._reference] if self._reference else []
        listed = archive_manifest(self._subject, data, descriptor.media_type, names, self._tar.blobs)
        self._tar.add_file("manifest.json", json.dumps(listed, separators=(",", ":")).encode())
        self._finish(descriptor, data, index_of(named(descriptor, names)))


@contextmanager
def layout_destination(folder: str, subject: str, tag: str | None) -> Iterator[FolderLayoutDestination]:
    """Give a layout to copy to; a folder that is not there appears when the block is left, whole or not at all."""
    if os.path.lexists(folder):
        make_layout(folder)
        yield FolderLayoutDestination(folder, subject, tag)
    else:
        with new_folder(folder) as path:
            make_layout(path)
            yield FolderLayoutDestination(path, subject, tag)


@contextmanager
def archive_destination(path: str, subject: str, tag: str | None) -> Iterator[OciArchiveDestination]:
    """Give an archive to copy to, which takes the place of ``path`` when the block is left, whole or not at all."""
    with replacing(path) as file:
        yield OciArchiveDestination(file, subject, tag)


@contextmanager
def docker_archive_destination(
    path: str, subject: str, reference: Reference | None
) -> Iterator[DockerArchiveDestination]:
    """Give a docker archive to copy to, which takes the place of ``path`` when the block is left."""
    with replacing(path) as file:
        yield DockerArchiveDestination(file, subject, reference)
