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
from ocibuild.layer.materialise import copy_entry, materialise
from ocibuild.layer.owners import RecordedOwners
from ocibuild.layer.whiteouts import make_whiteout
from ocibuild.rootfs.below import Below
from ocibuild.rootfs.capture import capture
from ocibuild.rootfs.snapshotter import SOCKETS, MountedTree, Snapshotter
from ocibuild.rootfs.targets import Stubs, forget
from ocibuild.rootfs.trees import TreePool
from ocibuild.sandbox import Folder, exchange

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocibuild.layer.owners import Ownership
    from ocibuild.rootfs.trees import Tree
    from ocibuild.store import ActiveSnapshot, Snapshot, Store

_PART = "content"


class CopySnapshotter(Snapshotter):
    """Makes trees of snapshots by copying them; close it at the end.

    Unless ``mounts_are_kept``, a step could write to what is mounted read-only in it, and gets a copy of its own.
    """

    def __init__(self, store: Store, ownership: Ownership, *, mounts_are_kept: bool = True) -> None:
        super().__init__(store, ownership)
        self._mounts_are_kept = mounts_are_kept
        self._pool = TreePool(store.trees)
        self._running: dict[int, Tree] = {}  # by the number of the active snapshot, the tree that its step runs in

    def prepare(self) -> None:
        """See Snapshotter; raise SandboxError where the store cannot keep what it must."""
        super().prepare()
        tree = self.store.trees.begin()
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
                tree.refresh(stubs.touched)
                if keep:
                    tree.index.settle()
                self._running[active.id] = tree
                try:
                    yield Folder(tree.path)
                finally:
                    del self._running[active.id]
                if keep:
                    _capture(tree, stack, active.upper, ignored=stubs.names)
            tree.refresh(stubs.touched)

    def forget_targets(self, active: ActiveSnapshot, created: Sequence[str], touched: Sequence[str] = ()) -> None:
        """See Snapshotter."""
        tree = self._running[active.id]
        with Root.open(tree.path) as root:
            forget(root, created)
        tree.refresh(touched)

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
            part = _copy_part(tree.path, path, folder)
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
            _capture(tree, stack, active.upper)

    @contextmanager
    def changing(self, stack: Sequence[Snapshot], active: ActiveSnapshot) -> Iterator[Root]:
        """See Snapshotter: what differs from the tree of ``stack`` is found anew, and takes the place of what was."""
        with self._pool.taken(stack, None) as tree:
            _dress(tree.path)
            tree.index.settle()
            materialise([active.upper], tree.path)
            with Root.open(tree.path) as root:
                yield root
            changed = os.path.join(active.scratch, "changed")
            os.mkdir(changed)
            _capture(tree, stack, changed)
            exchange(changed, active.upper)

    def give_time(
        self, stack: Sequence[Snapshot], active: ActiveSnapshot, directories: Sequence[str], mtime_ns: int
    ) -> None:
        """See Snapshotter: the tree that stands there is what the next step begins with."""
        super().give_time(stack, active, directories, mtime_ns)
        tree = self._pool.idle_at((*(snapshot.id for snapshot in stack), active.id))
        if tree is not None:
            for name in directories:
                os.utime(os.path.join(tree.path, name), ns=(mtime_ns, mtime_ns), follow_symlinks=False)
            tree.refresh(name for name in directories if name != ".")

    @contextmanager
    def reading(self, stack: Sequence[Snapshot]) -> Iterator[Root]:
        """See Snapshotter."""
        with self._pool.shared(stack) as tree, Root.open(tree.path) as root:
            yield root

    def _try(self, folder: str) -> None:
        """Find out what the store's file system can keep."""
        with Root.open(folder) as root:
            make_whiteout(root.fd, "whiteout")
            if stat.S_ISSOCK(root.lstat("whiteout").st_mode):
                os.close(
                    os.open(os.path.join(self.store.root, SOCKETS), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
                )
            if isinstance(self.ownership, RecordedOwners):
                try:
                    os.setxattr(root.fd, "user.ocibuild", b"")
                except OSError as error:
                    raise SandboxError(
                        f"{self.store.root}: its file system cannot record owners of files ({error.strerror})",
                        remedy="choose another place with --root: user extended attributes are needed",
                    ) from error


def _copy_part(tree: str, path: str, folder: str) -> str:
    """Make the new ``folder`` hold a copy of what is at ``path`` in a tree, symlinks followed inside of that.

    Returns the path of the copy in the folder; nothing is there where nothing is in the tree. Raises OSError.
    """
    os.mkdir(folder, 0o700)
    os.chmod(folder, 0o755)
    with Root.open(tree) as root, Root.open(folder) as there:
        try:
            real = root.resolve(path)
            root.lstat(real)
        except (FileNotFoundError, NotADirectoryError):
            return path
        with root.parent_of(real) as (fd, last):
            copy_entry(fd, last, there.fd, _PART)
    return _PART


def _dress(folder: str) -> None:
    """Make it what every step sees as its root, whatever our umask and its image."""
    os.chmod(folder, 0o755)
    if os.stat(folder).st_uid != os.geteuid():
        os.chown(folder, os.geteuid(), os.getegid())


def _capture(tree: Tree, stack: Sequence[Snapshot], upper: str, ignored: Sequence[str] = ()) -> None:
    """Bring into the empty folder of a snapshot what has changed in its tree."""
    with Below(stack) as below:
        changes = tree.index.update(tree.path, ignored=ignored, is_as_below=below.has)
    os.chmod(upper, 0o755)
    tree.index.refresh(tree.path, capture(changes, tree.path, upper))
