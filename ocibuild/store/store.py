"""The store: an OCI image layout that any OCI tool can read, and beside it what is not OCI.

::

    ROOT/
    ├── oci-layout, index.json, blobs/     the image layout (image-spec, image-layout.md)
    ├── ingest/                            blobs being written, each held with flock by its writer
    ├── snapshots/N/, scratch/N/           unpacked layers and results of steps; room beside one that is written
    ├── trees/N/                           whole root folders, while a build without mounts goes on
    ├── containers/ID/                     what a container wrote; its files are a snapshot
    ├── caches/                            directories that steps keep from build to build
    ├── web/, git/                         what URLs gave before; a bare repository for each remote
    ├── ocibuild.db                        records, snapshots, containers, summaries, digests of files (SQLite, WAL)
    └── locks                              bytes of this file are locks between processes
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from ocibuild.errors import NoSpace, StoreError
from ocibuild.store.blobs import Blobs
from ocibuild.store.caches import Caches
from ocibuild.store.containers import Containers
from ocibuild.store.database import Database
from ocibuild.store.downloads import Downloads
from ocibuild.store.knowndigests import KnownDigests
from ocibuild.store.leases import Leases
from ocibuild.store.locks import Locks
from ocibuild.store.origins import Origins
from ocibuild.store.records import Records
from ocibuild.store.snapshots import Snapshots
from ocibuild.store.summaries import Summaries
from ocibuild.store.tags import Tags
from ocibuild.store.trees import Trees
from ocibuild.store.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

# what a folder that cannot be made or written answers; /proc says that there is nothing
_UNUSABLE = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ENAMETOOLONG}
)
_LAYOUT = {"imageLayoutVersion": "1.0.0"}


class Store:
    """A store, open: its parts are its attributes. Close it, or use it as a context manager.

    ``ingest`` is the folder where anything may be kept for a moment in a file without a name.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.ingest = os.path.join(root, "ingest")
        self.locks = Locks(os.path.join(root, "locks"))
        self.blobs = Blobs(root)
        self.tags = Tags(root, self.locks)
        self._database = Database.open(os.path.join(root, "ocibuild.db"), self.locks)
        self.snapshots = Snapshots(root, self._database, self.locks)
        self.containers = Containers(root, self._database, self.locks, self.snapshots)
        self.trees = Trees(root, self.locks)
        self.caches = Caches(root, self.locks)
        self.records = Records(self._database)
        self.downloads = Downloads(root)
        self.files = KnownDigests(self._database)
        self.origins = Origins(self._database)
        self.summaries = Summaries(self._database, self.blobs)
        self.leases = Leases(self._database, self.locks)
        self.usage = Usage(self)

    @classmethod
    def open(cls, root: str) -> Self:
        """Open the store at ``root``, made where it is missing, and remove what killed writers of blobs left.

        Raises StoreError where ``root`` cannot be used, StoreTooNew where a newer version made it.
        """
        root = os.path.abspath(root)
        with _opening(root):
            _make_layout(root)
            store = cls(root)
            store.blobs.recover()
        return store

    def transaction(self) -> AbstractContextManager[None]:
        """Have all that is looked up or written inside the block be one transaction of the database."""
        return self._database.transaction()

    def close(self) -> None:
        """Write what is pending and close the database."""
        try:
            self.snapshots.sweep()
            self.files.flush()
        finally:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def translate_errors(root: str) -> Iterator[None]:
    """Say of a full disk which store it concerns."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(f"{root}: no space left on the device", remedy="free some space, or use --root") from error
        raise


@contextmanager
def _opening(root: str) -> Iterator[None]:
    """Say of a folder that cannot be opened or made that it was to be the store."""
    try:
        with translate_errors(root):
            yield
    except OSError as error:
        if error.errno in _UNUSABLE:
            raise StoreError(f"{root}: {error.strerror}", remedy="choose another store with --root") from error
        raise


def _make_layout(root: str) -> None:
    # a layout that another tool made has no snapshots
    if all(os.path.exists(os.path.join(root, name)) for name in ("oci-layout", "snapshots")):
        return
    # other users must not reach setuid files in unpacked layers
    os.makedirs(root, mode=0o700, exist_ok=True)
    for folder in ("blobs/sha256", "ingest", "snapshots"):
        os.makedirs(os.path.join(root, folder), exist_ok=True)
    with Locks(os.path.join(root, "locks")).holding("layout"):
        _write_once(os.path.join(root, "oci-layout"), json.dumps(_LAYOUT))


def _write_once(path: str, text: str) -> None:
    if not os.path.exists(path):
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(f"{path}.new", path)
