"""What takes room in a store beside its images, and how it is removed: the results of steps, unpacked layers, caches,
repositories, and blobs that nothing names.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from ocibuild.errors import OcibuildError
from ocibuild.fs import Root, remove_path
from ocibuild.oci import Digest, Index, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ocibuild.store.snapshots import Row
    from ocibuild.store.store import Store

_BLOCK = 512  # bytes; what st_blocks counts, see stat(2)


class Kind(Enum):
    """What something is, by BuildKit's names where it has one."""

    STEP = "regular"
    LAYER = "layer"
    CACHE = "exec.cachemount"
    REPOSITORY = "source.git.checkout"
    BLOB = "blob"


@dataclass(frozen=True, slots=True)
class Item:
    """Something that takes ``size`` bytes; times are in nanoseconds since 1970.

    ``shared`` is what an image of the store has too; ``in_use`` what somebody works with now; ``blob`` the digest of a
    blob that nothing names once it is gone.
    """

    kind: Kind
    id: str
    size: int
    created: int
    used: int
    label: str
    shared: bool = False
    in_use: bool = False
    blob: str | None = None


class Usage:
    """The items of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def items(self) -> list[Item]:
        """Return everything, the least recently used first, and of what was used together the later made first."""
        named = self._named()
        rows = self._store.snapshots.rows()
        oldest = self._store.leases.oldest()
        found = [*self._snapshots(rows, named), *self._caches(), *self._repositories(), *self._blobs(rows, named)]
        if oldest is not None:
            in_use = {one.id for one in found if one.used >= oldest or one.kind is Kind.BLOB}
            found = [replace(one, in_use=True) if one.id in in_use else one for one in found]
        return sorted(found, key=lambda one: (one.used, -one.created))

    def remove(self, item: Item) -> bool:
        """Remove an item, unless somebody has begun to use it: then return False."""
        match item.kind:
            case Kind.STEP | Kind.LAYER:
                return self._store.snapshots.remove(int(item.id), unless_used_since=item.used)
            case Kind.CACHE:
                return self._store.caches.remove(item.id)
            case Kind.REPOSITORY:
                return self._remove_repository(item.id)
            case Kind.BLOB:  # all of them together
                return False

    def remove_blobs(self, wanted: Collection[str]) -> set[str]:
        """Remove those of these blobs that nothing names; return their digests, none where somebody works."""
        lock = self._store.leases.keep_out()
        if lock is None:
            return set()
        try:
            found = [item.id for item in self._blobs(self._store.snapshots.rows(), self._named())]
            gone = set(found) & set(wanted)
            for digest in gone:
                self._store.blobs.remove(Digest.parse(digest))
            return gone
        finally:
            lock.close()

    def _named(self) -> set[Digest]:
        """Return the digests of all blobs that the images of the store have."""
        found: set[Digest] = set()
        pending = list(self._store.tags.entries())
        while pending:
            manifest = pending.pop()
            if manifest.digest in found:
                continue
            found.add(manifest.digest)
            with suppress(OcibuildError):  # of another platform, and not here
                document = parse_manifest(self._store.blobs.read(manifest.digest), trusted=True)
                if isinstance(document, Index):
                    pending += document.manifests
                else:
                    found |= {document.config.digest, *(layer.digest for layer in document.layers)}
        return found

    def _snapshots(self, rows: Sequence[Row], named: set[Digest]) -> Iterator[Item]:
        for row in rows:
            blob = row.layer.descriptor if row.layer else None
            shared = blob is not None and blob.digest in named
            size = row.size
            if size is None:  # it never changes: it is looked at once
                size = _size(self._store.snapshots.path(row.id))
                self._store.snapshots.remember_size(row.id, size)
            kind = Kind.LAYER if row.label is None else Kind.STEP
            label = row.label or (str(blob.digest) if blob else "")
            own = str(blob.digest) if blob is not None and not shared and self._store.blobs.has(blob.digest) else None
            size += blob.size if blob is not None and own else 0
            yield Item(kind, str(row.id), size, row.created, row.used, label, shared, blob=own)

    def _caches(self) -> Iterator[Item]:
        for name, label in self._store.caches.names():
            status = os.stat(self._store.caches.path(name))
            used = self._store.caches.used(name)
            size = _size(self._store.caches.path(name))
            in_use = self._store.caches.is_used(name)
            yield Item(Kind.CACHE, name, size, status.st_ctime_ns, used, label, in_use=in_use)

    def _repositories(self) -> Iterator[Item]:
        folder = os.path.join(self._store.root, "git")
        with suppress(FileNotFoundError):
            for name in sorted(os.listdir(folder)):
                path = os.path.join(folder, name)
                status = os.stat(path)
                if stat.S_ISDIR(status.st_mode):
                    when = status.st_mtime_ns
                    yield Item(Kind.REPOSITORY, name, _size(path), when, when, "a Git repository")

    def _remove_repository(self, name: str) -> bool:
        lock = self._store.locks.try_hold(f"git {name}")
        if lock is None:
            return False
        try:
            remove_path(os.path.join(self._store.root, "git", name))
        finally:
            lock.close()
        return True

    def _blobs(self, rows: Sequence[Row], named: set[Digest]) -> Iterator[Item]:
        """Yield the blobs that neither an image nor a snapshot has."""
        of_snapshots = {row.layer.descriptor.digest for row in rows if row.layer}
        for digest in self._store.blobs:
            if digest not in named and digest not in of_snapshots:
                with suppress(FileNotFoundError):
                    status = os.stat(self._store.blobs.path(digest))
                    when = status.st_mtime_ns
                    yield Item(Kind.BLOB, str(digest), status.st_blocks * _BLOCK, when, when, "")


def _size(path: str) -> int:
    """Return what a folder takes on its file system, its files with several names once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    with Root.open(path) as root:
        for _, status in root.walk():
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * _BLOCK
    return total
