"""An image of a layout, to be copied."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from ocibuild.archive.choice import chosen
from ocibuild.archive.layout import blob_name, open_source
from ocibuild.errors import NotFound, OcibuildError, naming
from ocibuild.oci.limits import MANIFEST_LIMIT
from ocibuild.oci.verified import read_verified

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ocibuild.archive.layout import Source
    from ocibuild.oci import Descriptor, Digest


class NamedFiles:
    """The files of a source, opened by several threads one after another; ``subject`` begins every error."""

    def __init__(self, files: Source, subject: str) -> None:
        self.files = files
        self.subject = subject
        self._opening = threading.Lock()

    def open(self, name: str, offset: int = 0) -> BinaryIO:
        """Open a file from ``offset`` on; raises NotFound."""
        with naming(self.subject), self._opening:
            if self.files.size_of(name) is None:
                raise NotFound(f"{name} is not there")
            file = self.files.open_file(name)
        file.seek(offset)
        return file

    def read(self, name: str, descriptor: Descriptor) -> bytes:
        """Return the bytes of a manifest, verified."""
        with naming(self.subject), self.open(name) as file:
            return read_verified(file, descriptor, limit=MANIFEST_LIMIT)


class LayoutSource:
    """See ``ImageSource``; ``choose`` returns its root. A blob that is missing raises NotFound."""

    def __init__(self, layout: Source, subject: str, choose: Callable[[], Descriptor]) -> None:
        self._layout = NamedFiles(layout, subject)
        self._choose = choose

    @property
    def subject(self) -> str:
        """See ``ImageSource``."""
        return self._layout.subject

    def root(self) -> Descriptor:
        """See ``ImageSource``; raises NotFound, InvalidDocument."""
        with naming(self.subject):
            return self._choose()

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """See ``ImageSource``."""
        return self._layout.read(blob_name(descriptor.digest), descriptor)

    def open_blob(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """See ``ImageSource``."""
        return self._layout.open(blob_name(descriptor.digest), offset)


@contextmanager
def layout_source(
    path: str, subject: str, *, tag: str | None = None, digest: Digest | None = None, archive: bool = False
) -> Iterator[LayoutSource]:
    """Open a layout in a folder, or an ``archive`` of one, to copy from.

    Raises OcibuildError where it cannot be read or is the other of the two.
    """
    if os.path.exists(path) and os.path.isdir(path) == archive:
        what, other = ("a folder", "oci:") if archive else ("no folder", "oci-archive:")
        raise OcibuildError(f"{subject}: {path} is {what}", remedy=f"copy from {other}{path}")
    with opened(open_source(path), subject) as layout:
        yield LayoutSource(layout, subject, partial(chosen, layout, tag, digest))


@contextmanager
def opened(files: AbstractContextManager[Source], subject: str) -> Iterator[Source]:
    """Open files to copy from; an error of opening begins with ``subject``, one of the block does not."""
    with ExitStack() as cleanup:
        with naming(subject):
            layout = cleanup.enter_context(files)
        yield layout
