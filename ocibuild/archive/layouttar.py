"""A layout as a tar, written from front to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.archive.layout import blob_name
from ocibuild.archive.layoutfolder import LAYOUT_FILE
from ocibuild.layer.entry import Entry, Kind
from ocibuild.layer.writer import TarWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ocibuild.oci import Descriptor, Digest


class LayoutTar:
    """A layout being written to ``write``: files and blobs in the order they are added; the same ones, the same bytes.

    ``blobs`` are those that are in it.
    """

    def __init__(self, write: Callable[[bytes | memoryview], object]) -> None:
        self._tar = TarWriter(write)
        self._folders: set[str] = set()
        self.blobs: set[Digest] = set()
        self.add_file("oci-layout", LAYOUT_FILE)

    def add_file(self, name: str, data: bytes) -> None:
        """Add a file at the top."""
        self._tar.add(Entry(name, Kind.FILE, 0o644, size=len(data)), [data])

    def add_blob(self, blob: Descriptor, pieces: Iterable[bytes]) -> None:
        """Add a blob; after an error in ``pieces`` the tar is of no use."""
        self._add_folder("blobs")
        self._add_folder(f"blobs/{blob.digest.algorithm}")
        self._tar.add(Entry(blob_name(blob.digest), Kind.FILE, 0o644, size=blob.size), pieces)
        self.blobs.add(blob.digest)

    def close(self) -> None:
        """Write the end."""
        self._add_folder("blobs")
        self._tar.close()

    def _add_folder(self, name: str) -> None:
        if name not in self._folders:
            self._folders.add(name)
            self._tar.add(Entry(name, Kind.DIRECTORY, 0o755))
