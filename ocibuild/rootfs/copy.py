"""The ``copy`` snapshotter: trees are folders of their own, and what a step changed in one is found by comparing.

It is for machines where nothing can be mounted, and needs no privilege. Snapshots have the form that they have for
overlayfs, so a store serves both.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocibuild.errors import SandboxError
from ocibuild.fs import Root
from ocibuild.layer import RecordedOwners, make_whiteout
from ocibuild.oci import Compression
from ocibuild.rootfs.below import Below
from ocibuild.rootfs.capture import capture
from ocibuild.rootfs.changes import pack_changes
from ocibuild.rootfs.materialise import copy_part
from ocibuild.rootfs.snapshotter import MountedTree
from ocibuild.rootfs.targets import Stubs, forget
from ocibuild.rootfs.trees import TreePool
from ocibuild.sandbox import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ocibuild.layer import Ownership
    from ocibuild.rootfs.trees import Tree
    from ocibuild.store import ActiveSnapshot, Layer, Snapshot, Store

SOCKETS = "whiteouts-are-sockets"
"""An empty file of a store whose file system refuses the whiteouts of overlayfs: its snapshots cannot be mounted."""


class CopySnapshotter:
    """Makes trees of snapshots by copying them; close it at the end.

    Unless ``mounts_are_kept``, a step could write to what is mounted read-only in it, and gets a copy of its own.
    """

    def __init__(self, store: Store, ownership: Ownership, *, mounts_are_kept: bool = True) -> None:
        self._store = store
        self._ownership = ownership
        self._mounts_are_kept = mounts_are_kept
        self._pool = TreePool(store.trees)
        self._running: dict[int, Tree] = {}  # by the number of the active snapshot, the tree that its step runs in
        self._mount_point = os.path.join(store.root, "mount-point")

    def prepare(self) -> None:
        """See Snapshotter; raise SandboxError where the store cannot keep what it must."""
        os.makedirs(self._mount_point, exist_ok=True)
        tree = self._store.trees.begin()
        try:
            self._try(tree.path)
        finally:
            tree.remove()

    def close(self) -> None:
        """See Snapshotter."""
        self._pool.close()

    @contextmanager
    def running(self, stack: Sequence[Snapshot], active: ActiveSnapshot, *, keep: bool = True) -> Iterator[Folder]:
        """See Snapshotter."""
        with self._pool.taken(stack, active.id if keep else None) as tree:
            _dress(tree.path)
            with Stubs.made_in(tree.path) as stubs:
                tree.index.refresh(tree.path, stubs.touched)
                tree.index.settle()
                self._running[active.id] = tree
                try:
                    yield Folder(tree.path)
                finally:
                    del self._running[active.id]
                if keep:
                    _capture(tree, stack, active, ignored=stubs.names)
            tree.index.refresh(tree.path, stubs.touched)

    def forget_targets(self, active: ActiveSnapshot, created: Sequence[str], touched: Sequence[str] = ()) -> None:
        """See Snapshotter."""
        tree = self._running[active.id]
        with Root.open(tree.path) as root:
            forget(root, created)
        tree.index.refresh(tree.path, touched)

    @contextmanager
    def tree_of_mount(
        self, stack: Sequence[Snapshot], active: ActiveSnapshot, path: str, *, read_only: bool
    ) -> Iterator[MountedTree]:
        """See Snapshotter."""
        with self._pool.shared(stack) as tree:
            if read_only and self._mounts_are_kept:
                yield MountedTree(Folder(tree.path, read_only=True), path)
                return
            folder = os.path.join(active.scratch, f"mount-{len(os.listdir(active.scratch))}")
            part = copy_part(tree.path, path, folder)
        yield MountedTree(Folder(folder), part)

    @contextmanager
    def writing(self, stack: Sequence[Snapshot], active: ActiveSnapshot) -> Iterator[Root]:
        """See Snapshotter."""
        if not stack:  # nothing is below: what is made is what has changed
            _dress(active.upper)
            with Root.open(active.upper) as root:
                yield root
            return
        with self._pool.taken(stack, active.id) as tree:
            _dress(tree.path)
            tree.index.settle()
            with Root.open(tree.path) as root:
                yield root
            _capture(tree, stack, active)

    @contextmanager
    def reading(self, stack: Sequence[Snapshot]) -> Iterator[Root]:
        """See Snapshotter."""
        with self._pool.shared(stack) as tree, Root.open(tree.path) as root:
            yield root

    @property
    def mount_point(self) -> str:
        """See Snapshotter."""
        return self._mount_point

    def pack(
        self,
        stack: Sequence[Snapshot],
        snapshot: Snapshot,
        *,
        compression: Compression = Compression.GZIP,
        progress: Callable[[int], None] | None = None,
    ) -> Layer:
        """See Snapshotter."""
        return pack_changes(self._store, self._ownership, stack, snapshot, compression, progress)

    def _try(self, folder: str) -> None:
        """Find out what the store's file system can keep."""
        with Root.open(folder) as root:
            make_whiteout(root.fd, "whiteout")
            if stat.S_ISSOCK(root.lstat("whiteout").st_mode):
                os.close(
                    os.open(os.path.join(self._store.root, SOCKETS), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
                )
            if isinstance(self._ownership, RecordedOwners):
                try:
                    os.setxattr(root.fd, "user.ocibuild", b"")
                except OSError as error:
                    raise SandboxError(
                        f"{self._store.root}: its file system cannot record owners of files ({error.strerror})",
                        remedy="choose another place with --root: user extended attributes are needed",
                    ) from error


def _dress(folder: str) -> None:
    """Make it what every step sees as its root, whatever our umask and its image."""
    os.chmod(folder, 0o755)
    if os.stat(folder).st_uid != os.geteuid():
        os.chown(folder, os.geteuid(), os.getegid())


def _capture(tree: Tree, stack: Sequence[Snapshot], active: ActiveSnapshot, ignored: Sequence[str] = ()) -> None:
    """Bring into a snapshot what has changed in its tree."""
    with Below(stack) as below:
        changes = tree.index.update(tree.path, ignored=ignored, is_as_below=below.has)
    os.chmod(active.upper, 0o755)
    tree.index.refresh(tree.path, capture(changes, tree.path, active.upper))
