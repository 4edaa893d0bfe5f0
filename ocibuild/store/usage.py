"""What takes room in a store beside its images, and how it is removed: the results of steps, unpacked layers, caches,
repositories, and blobs that nothing names.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.errors import NotInStore, OcibuildError
from ocibuild.fs import Root, disk_usage, remove_path, status_of
from ocibuild.oci import Digest, Index, parse_manifest
from ocibuild.store.images import describe_manifest
from ocibuild.store.items import Item, Kind
from ocibuild.store.pruning import chosen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from ocibuild.oci import Descriptor
    from ocibuild.store.pruning import Pruning
    from ocibuild.store.snapshots import Row
    from ocibuild.store.store import Store


class Usage:
    """The items of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def items(self) -> list[Item]:
        """Return everything, the least recently used first, and of what was used together the later made first."""
        named = self._of_images()
        rows = self._store.snapshots.rows()
        below = {str(number) for container in self._store.containers.all() for number in container.stack}
        oldest = self._store.leases.oldest()
        found = [*self._snapshots(rows, named), *self._caches(), *self._repositories(), *self._blobs(rows, named)]
        in_use = {one.id for one in found if one.id in below and one.kind in (Kind.STEP, Kind.LAYER)}
        if oldest is not None:
            in_use |= {one.id for one in found if one.used >= oldest or one.kind is Kind.BLOB}
        found = [replace(one, in_use=True) if one.id in in_use else one for one in found]
        return sorted(found, key=lambda one: (one.used, -one.created))

    def prune(self, pruning: Pruning) -> list[Item]:
        """Remove what is asked for, unless somebody has begun to use it; return what was removed."""
        self._store.snapshots.sweep()  # one whose scratch is still there is held
        wanted = list(chosen(self.items(), pruning))
        gone = {item.id for item in wanted if self._remove(item)}
        if wanted:
            self._store.records.inputs.tidy()
        blobs = {item.id for item in wanted if item.kind is Kind.BLOB}
        gone |= self._remove_blobs(blobs | {item.blob for item in wanted if item.blob and item.id in gone})
        return [item for item in wanted if item.id in gone]

    def _remove(self, item: Item) -> bool:
        match item.kind:
            case Kind.STEP | Kind.LAYER:
                return self._store.snapshots.remove(int(item.id), unless_used_since=item.used)
            case Kind.CACHE:
                return self._store.caches.remove(item.id)
            case Kind.REPOSITORY:
                return self._remove_repository(item.id)
            case Kind.BLOB:  # all of them together
                return False

    def _remove_blobs(self, wanted: Collection[str]) -> set[str]:
        """Remove those of these blobs that nothing names; return their digests, none where somebody works."""
        lock = self._store.leases.keep_out()
        if lock is None:
            return set()
        try:
            gone = {item.id for item in self._blobs(self._store.snapshots.rows(), self._of_images())} & set(wanted)
            for digest in gone:
                self._store.blobs.remove(Digest.parse(digest))
            return gone
        finally:
            lock.close()

    def forget(self, blobs: Collection[Digest]) -> None:
        """Remove these blobs and what was unpacked of them, but for what an image names or somebody works with."""
        self._store.snapshots.sweep()
        spare = set(blobs) - self._of_images()
        oldest = self._store.leases.oldest()
        for row in self._store.snapshots.rows():
            is_spare = row.label is None and row.layer is not None and row.layer.descriptor.digest in spare
            if is_spare and (oldest is None or row.used < oldest):
                self._store.snapshots.remove(row.id, unless_used_since=row.used)
        self._remove_blobs({str(digest) for digest in spare})

    def _of_images(self) -> set[Digest]:
        """Return the digests of all blobs of the store's images, and of those that containers were made of."""
        return self.named([*self._store.tags.entries(), *self._of_containers()])

    def _of_containers(self) -> Iterator[Descriptor]:
        for digest in {container.image for container in self._store.containers.all()}:
            with suppress(OcibuildError):
                yield describe_manifest(self._store.blobs, digest)

    def named(self, entries: Iterable[Descriptor]) -> set[Digest]:
        """Return the digests of all blobs of images: their manifests, configs and layers."""
        found: set[Digest] = set()
        pending = list(entries)
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
                size = disk_usage(self._store.snapshots.path(row.id))
                self._store.snapshots.remember_size(row.id, size)
            kind = Kind.LAYER if row.label is None else Kind.STEP
            label = row.label or (str(blob.digest) if blob else "")
            own = str(blob.digest) if blob is not None and not shared and self._store.blobs.has(blob.digest) else None
            size += blob.size if blob is not None and own else 0
            yield Item(kind, str(row.id), size, row.created, row.used, label, shared, blob=own)

    def _caches(self) -> Iterator[Item]:
        for cache in self._store.caches.kept():
            size = disk_usage(cache.path)
            yield Item(
                Kind.CACHE, cache.name, size, cache.created, cache.used, cache.id.removeprefix("/"), in_use=cache.in_use
            )

    def _repositories(self) -> Iterator[Item]:
        with suppress(FileNotFoundError), Root.open(os.path.join(self._store.root, "git")) as folder:
            for name in sorted(os.listdir(folder.fd)):
                status = status_of(folder.fd, name)
                if status is not None and stat.S_ISDIR(status.st_mode):
                    size, when = disk_usage(os.path.join(self._store.root, "git", name)), status.st_mtime_ns
                    yield Item(Kind.REPOSITORY, name, size, when, when, "a Git repository")

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
                with suppress(FileNotFoundError, NotInStore):
                    when = os.stat(self._store.blobs.path(digest)).st_mtime_ns
                    yield Item(Kind.BLOB, str(digest), self._store.blobs.size(digest), when, when, "")
