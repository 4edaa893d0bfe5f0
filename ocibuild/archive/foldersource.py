"""An image in a folder as skopeo's ``dir:`` has it, to be copied.

::

    DIR/
    ├── version                 "Directory Transport Version: 1.1"
    ├── manifest.json           the manifest or index
    ├── HEX.manifest.json       a manifest that the index names
    └── HEX                     a blob; HEX is a digest without its algorithm
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

from ocibuild.archive.layout import LayoutDirectory, open_source, read_file
from ocibuild.archive.layoutsource import NamedFiles, opened
from ocibuild.errors import OcibuildError, naming
from ocibuild.oci import Descriptor, Digest, parse_manifest
from ocibuild.oci.limits import MANIFEST_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.archive.layout import Source

VERSION: Final = b"Directory Transport Version: 1.1\n"


def manifest_name(digest: Digest) -> str:
    """Return where a manifest below an index is."""
    return f"{digest.encoded}.manifest.json"


class FolderSource:
    """See ``ImageSource``; a blob that is missing raises NotFound."""

    def __init__(self, files: Source, subject: str) -> None:
        self._folder = NamedFiles(files, subject)
        with naming(subject), naming("manifest.json"):
            self._manifest = read_file(files, "manifest.json", limit=MANIFEST_LIMIT)
            media_type = parse_manifest(self._manifest).media_type
        self._root = Descriptor(media_type, Digest.of(self._manifest), len(self._manifest))

    @property
    def subject(self) -> str:
        """See ``ImageSource``."""
        return self._folder.subject

    def root(self) -> Descriptor:
        """See ``ImageSource``."""
        return self._root

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """See ``ImageSource``."""
        if descriptor.digest == self._root.digest:
            return self._manifest
        return self._folder.read(manifest_name(descriptor.digest), descriptor)

    def open_blob(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """See ``ImageSource``."""
        return self._folder.open(descriptor.digest.encoded, offset)


@contextmanager
def folder_source(path: str, subject: str) -> Iterator[FolderSource]:
    """Open a folder to copy from; raises OcibuildError, InvalidDocument."""
    with opened(open_source(path), subject) as files:
        if not isinstance(files, LayoutDirectory):
            raise OcibuildError(f"{subject}: it is no folder")
        yield FolderSource(files, subject)
