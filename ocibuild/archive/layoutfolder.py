"""A layout in a folder, written so that it is valid at every moment. See image-spec, image-layout.md."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ocibuild.archive.destination import replacing, translating
from ocibuild.archive.layout import blob_name
from ocibuild.archive.naming import index_of, merged
from ocibuild.errors import InvalidDocument, OcibuildError
from ocibuild.oci import Index, mediatypes, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ocibuild.oci import Descriptor

LAYOUT_FILE: Final = json.dumps({"imageLayoutVersion": "1.0.0"}).encode()
_INDEX_LIMIT = 16 << 20


def make_layout(folder: str) -> None:
    """Make ``folder`` a layout where it is missing or empty; OcibuildError where it holds something else."""
    try:
        os.makedirs(folder, exist_ok=True)
        there = os.listdir(folder)
    except OSError as error:
        raise OcibuildError(f"{folder}: {error.strerror}", remedy="choose another folder for the layout") from error
    if "oci-layout" in there:
        return
    if there:
        raise OcibuildError(f"{folder} is not empty and not an OCI layout", remedy="choose another folder")
    write_file(os.path.join(folder, "oci-layout"), [LAYOUT_FILE])


def has_blob(folder: str, blob: Descriptor) -> bool:
    """Tell whether the layout has a file of the blob's name and size."""
    path = os.path.join(folder, blob_name(blob.digest))
    return os.path.isfile(path) and os.path.getsize(path) == blob.size


def write_blob(folder: str, blob: Descriptor, pieces: Iterable[bytes]) -> None:
    """Write a blob, which appears when ``pieces`` have ended; after an error in them there is nothing."""
    path = os.path.join(folder, blob_name(blob.digest))
    with translating(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    write_file(path, pieces)


def add_entries(folder: str, entries: Sequence[Descriptor]) -> None:
    """Add entries to ``index.json`` in place of those with the same tag, all at once; writers wait for each other."""
    path = os.path.join(folder, "index.json")
    with _locked(folder):
        write_file(path, [index_of(merged(entries_of(folder), entries))])


@contextmanager
def new_folder(path: str) -> Iterator[str]:
    """Give a folder that becomes ``path``, where nothing is yet, when the block is left; after an exception it is gone.

    Folders above it are made. Raises OcibuildError where ``path`` cannot be made, or somebody else made it meanwhile.
    """
    temporary = f"{path.rstrip('/')}.{os.urandom(4).hex()}.partial"
    with translating(path):
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        os.mkdir(temporary)
        try:
            yield temporary
            os.rename(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def write_file(path: str, pieces: Iterable[bytes]) -> None:
    """Write a file that takes the place of ``path`` when it is complete."""
    with replacing(path) as file:
        for piece in pieces:
            file.write(piece)


def entries_of(folder: str) -> tuple[Descriptor, ...]:
    """Return the entries of ``index.json``, none where it is missing; raise InvalidDocument."""
    path = os.path.join(folder, "index.json")
    try:
        with open(path, "rb") as file:
            data = file.read(_INDEX_LIMIT + 1)
    except FileNotFoundError:
        return ()
    if len(data) > _INDEX_LIMIT:
        raise InvalidDocument(f"{path}: more than {_INDEX_LIMIT} bytes")
    index = parse_manifest(data, mediatypes.OCI_INDEX)
    return index.manifests if isinstance(index, Index) else ()


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Hold the folder's lock; a file system that has no locks gives none."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF):
                raise
        yield
    finally:
        os.close(fd)
