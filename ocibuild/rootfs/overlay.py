"""The ``overlay`` snapshotter: trees are stacks of snapshots under overlayfs, and a step's upper directory its changes.

A stack is given oldest first, as in ``rootfs.diff_ids``. Nothing here is ever attached to the machine's own tree.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocibuild.errors import SandboxError
from ocibuild.fs import Root
from ocibuild.layer.whiteouts import is_opaque
from ocibuild.rootfs.snapshotter import SOCKETS, MountedTree, Snapshotter
from ocibuild.rootfs.targets import STUBS, forget, make_stub
from ocibuild.sandbox import Overlay

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from ocibuild.layer.owners import Ownership
    from ocibuild.store import ActiveSnapshot, Snapshot, Store

_PROBE = "user.ocibuild.probe"


class OverlaySnapshotter(Snapshotter):
    """Makes trees of snapshots by mounting them, as the owner of the mount namespace that this process is in."""

    shares_files = True
    shows_running = True

    def __init__(self, store: Store, ownership: Ownership) -> None:
        super().__init__(store, ownership)
        self._empty = os.path.join(store.root, "empty")
        self._stubs = os.path.join(store.root, "stubs")

    def prepare(self) -> None:
        """See Snapshotter."""
        super().prepare()
        os.makedirs(self._empty, exist_ok=True)
        for name in STUBS:  # in the lowest directory of every step, they are never a change
            make_stub(self._stubs, name)

    def refusal(self) -> str | None:
        """Return why trees of this store cannot be mounted here, None where they can."""
        if os.path.exists(os.path.join(self.store.root, SOCKETS)):
            return "the store's file system refuses whiteouts of overlayfs"
        probe = self.store.trees.begin()
        try:
            if not _has_attributes(probe.path):
                return "the store's file system has no extended attributes of users, which overlay mounts need"
            lower, upper, work, scratch = (os.path.join(probe.path, name) for name in "luws")
            for path in (lower, upper, work, scratch):
                os.mkdir(path)
            os.close(Overlay([lower], upper, work, scratch).open())
        except OSError as error:
            return f"this machine refuses an overlay mount on the store's file system ({error.strerror})"
        finally:
            probe.remove()
        return None

    def close(self) -> None:
        """See Snapshotter: mounts end with the steps that they are made for."""

    @contextmanager
    def running(
        self,
        stack: Sequence[Snapshot],
        active: ActiveSnapshot,
        *,
        keep: bool = True,  # noqa: ARG002  (they are there anyway)
    ) -> Iterator[Overlay]:
        """See Snapshotter."""
        yield self._overlay([*_topmost_first(stack), self._stubs], active)

    @contextmanager
    def tree_of_mount(
        self, stack: Sequence[Snapshot], active: ActiveSnapshot, path: str, *, read_only: bool
    ) -> Iterator[MountedTree]:
        """See Snapshotter."""
        lowers = [*_topmost_first(stack), self._empty]
        if read_only:
            yield MountedTree(Overlay(lowers, None, None, self.mount_point), path)
            return
        folder = os.path.join(active.scratch, f"mount-{len(os.listdir(active.scratch))}")
        upper, work = os.path.join(folder, "upper"), os.path.join(folder, "work")
        for made in (folder, upper, work):
            os.mkdir(made)
        os.chmod(upper, 0o755)
        yield MountedTree(Overlay(lowers, upper, work, self.mount_point), path)

    @contextmanager
    def writing(self, stack: Sequence[Snapshot], active: ActiveSnapshot) -> Iterator[Root]:
        """See Snapshotter."""
        with _mounted(self._overlay([*_topmost_first(stack), self._empty], active)) as root:
            yield root

    def changing(self, stack: Sequence[Snapshot], active: ActiveSnapshot) -> AbstractContextManager[Root]:
        """See Snapshotter."""
        return self.writing(stack, active)

    @contextmanager
    def reading(self, stack: Sequence[Snapshot]) -> Iterator[Root]:
        """See Snapshotter."""
        with _mounted(Overlay([*_topmost_first(stack), self._empty], None, None, self.mount_point)) as root:
            yield root

    def forget_targets(
        self,
        active: ActiveSnapshot,
        created: Sequence[str],
        touched: Sequence[str] = (),  # noqa: ARG002  (only a folder is touched like that)
    ) -> None:
        """See Snapshotter."""
        with Root.open(active.upper) as upper:
            forget(upper, created)

    def _overlay(self, lowers: list[str], active: ActiveSnapshot) -> Overlay:
        # a new one for each mount: overlayfs refuses one that a volatile mount has used
        work = os.path.join(active.scratch, f"work-{len(os.listdir(active.scratch))}")
        os.mkdir(work)
        os.chmod(active.upper, 0o755)  # it shows as the tree's root, whatever our umask
        return Overlay(lowers, active.upper, work, self.mount_point)


def _has_attributes(folder: str) -> bool:
    """Tell whether a file system has user xattrs: without them what is opaque could not be marked so.

    The kernel would mount an overlay all the same, and fail only when a step replaces a directory.
    """
    try:
        os.setxattr(folder, _PROBE, b"")
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return False
    return True


def _topmost_first(stack: Sequence[Snapshot]) -> list[str]:
    """Return the directories to stack: none below one whose root is opaque, which overlayfs itself does not look at.

    One that is in the stack twice, as that of two equal linked copies is, is put where it is topmost: there it hides
    all that it would show below, and overlayfs refuses to have it twice.
    """
    paths: dict[str, None] = {}
    for snapshot in reversed(stack):
        paths.setdefault(snapshot.path)
        with Root.open(snapshot.path) as layer:
            if is_opaque(layer.fd):
                break
    return list(paths)


@contextmanager
def _mounted(overlay: Overlay) -> Iterator[Root]:
    try:
        fd = overlay.open()
    except OSError as error:
        raise SandboxError(
            f"this machine refuses an overlay mount: {error.strerror}", remedy="`ocibuild doctor` tells what to change"
        ) from error
    try:
        # a mount's descriptor is O_PATH; reading a directory wants a real one
        with Root.open(".", dir_fd=fd) as root:
            yield root
    finally:
        os.close(fd)
