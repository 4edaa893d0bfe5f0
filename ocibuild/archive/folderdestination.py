"""A folder as skopeo's ``dir:`` has it that an image is copied to; see ``foldersource``."""

from __future__ import annotations

import os
import re
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from ocibuild.archive.destination import translating
from ocibuild.archive.foldersource import VERSION, manifest_name
from ocibuild.archive.layoutdestination import told
from ocibuild.archive.layoutfolder import new_folder, write_file
from ocibuild.errors import OcibuildError
from ocibuild.oci.verified import verified

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ocibuild.oci import Descriptor
    from ocibuild.oci.image_io import BlobReader

_PARALLEL = 4


class FolderDestination:
    """See ``ImageDestination``. What the folder held before goes when the new manifest is in place, not earlier."""

    def __init__(self, folder: str, subject: str) -> None:
        self._folder = folder
        self._subject = subject
        self._before = frozenset(os.listdir(folder))
        self._written: set[str] = set()
        self._lock = threading.Lock()  # of what was written
        self._write("version", [VERSION])

    @property
    def subject(self) -> str:
        """See ``ImageDestination``."""
        return self._subject

    @property
    def parallel(self) -> int:
        """See ``ImageDestination``."""
        return _PARALLEL

    def has_blob(self, descriptor: Descriptor) -> bool:
        """See ``ImageDestination``; what an earlier copy left is written anew."""
        with self._lock:
            return descriptor.digest.encoded in self._written

    def put_blob(
        self, descriptor: Descriptor, open_at: Callable[[int], BlobReader], progress: Callable[[int], None]
    ) -> None:
        """See ``ImageDestination``."""
        with closing(open_at(0)) as reader:
            self._write(descriptor.digest.encoded, told(verified(reader, descriptor), progress))

    def put_manifest(self, descriptor: Descriptor, data: bytes) -> None:
        """See ``ImageDestination``."""
        self._write(manifest_name(descriptor.digest), [data])

    def finish(self, descriptor: Descriptor, data: bytes) -> None:  # noqa: ARG002  (the folder is its only name)
        """See ``ImageDestination``."""
        self._write("manifest.json", [data])
        self._remove(self._before - self._written)

    def undo(self) -> None:
        """Remove what was written and not there before; what was written over has the bytes it had."""
        self._remove(self._written - self._before)

    def _write(self, name: str, pieces: Iterable[bytes]) -> None:
        write_file(os.path.join(self._folder, name), pieces)
        with self._lock:
            self._written.add(name)

    def _remove(self, names: Iterable[str]) -> None:
        """Remove files of this form; any other was put there by somebody else."""
        for name in names:
            if re.fullmatch(r"version|manifest\.json|[0-9a-f]{64,128}(\.manifest\.json)?|(.*-)?signature-[0-9]+", name):
                with suppress(OSError):
                    os.unlink(os.path.join(self._folder, name))


@contextmanager
def folder_destination(folder: str, subject: str) -> Iterator[FolderDestination]:
    """Give a folder to copy to: a new one, which appears whole, an empty one, or one that a copy like this has made.

    Raises OcibuildError where it holds something else.
    """
    if not os.path.lexists(folder):
        with new_folder(folder) as path:
            yield FolderDestination(path, subject)
        return
    with translating(folder):
        there = os.listdir(folder)
    if there and "version" not in there:
        raise OcibuildError(f"{folder} is not empty and not written by dir:", remedy="choose another folder")
    destination = FolderDestination(folder, subject)
    try:
        yield destination
    except BaseException:
        destination.undo()
        raise
