"""Layouts to read from: a directory, or a tar of one. Everything in them is a stranger's."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

from ocibuild.errors import InvalidDocument, OcibuildError
from ocibuild.fs import Root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.oci import Digest


def blob_name(digest: Digest) -> str:
    """Return where a layout keeps a blob, below its top."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"


class Source(Protocol):
    """An OCI image layout, however it is kept: ``name`` below is ``index.json``, ``oci-layout`` or ``blob_name(…)``."""

    def size_of(self, name: str) -> int | None:
        """Return the bytes of a file of the layout, None where it is missing; InvalidDocument for what is no file."""

    def open_file(self, name: str) -> BinaryIO:
        """Open a file that is there; OcibuildError where it cannot be read. The caller closes it."""


class LayoutDirectory:
    """A layout in a directory; no symlink in place of a file is followed, and none leads out. A context manager."""

    def __init__(self, root: Root) -> None:
        """Take over ``root``."""
        self._root = root

    def size_of(self, name: str) -> int | None:
        """See ``Source``."""
        try:
            status = self._root.lstat(name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(error) from error
        if not stat.S_ISREG(status.st_mode):
            raise InvalidDocument("it is not a regular file", remedy="put the file itself there")
        return status.st_size

    def open_file(self, name: str) -> BinaryIO:
        """See ``Source``."""
        try:
            return os.fdopen(self._root.open_file(name), "rb")
        except OSError as error:
            raise _unreadable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._root.close()


@contextmanager
def open_source(path: str) -> Iterator[Source]:
    """Open the layout that is at ``path``: a directory, or a tar.

    Raises OcibuildError where the path cannot be read, and InvalidDocument or InvalidLayer where it is not a tar of a
    layout.
    """
    from ocibuild.archive.tarred import OciArchive

    try:
        source = LayoutDirectory(Root.open(path)) if os.path.isdir(path) else OciArchive(path)
    except OSError as error:
        raise OcibuildError(f"{path}: {os.strerror(error.errno or errno.EIO)}", remedy="check the path") from error
    with source:
        yield source


def read_file(source: Source, name: str, *, limit: int) -> bytes:
    """Return the bytes of a small file of the layout; InvalidDocument where it is missing or larger than ``limit``."""
    size = source.size_of(name)
    if size is None:
        raise InvalidDocument("it is not there")
    if size > limit:
        raise InvalidDocument(f"it has {size} bytes, and a document may have {limit}")
    with source.open_file(name) as file:
        return file.read(size)


def _unreadable(error: OSError) -> OcibuildError:
    return OcibuildError(f"it cannot be read: {os.strerror(error.errno or errno.EIO)}")
