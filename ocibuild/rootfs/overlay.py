"""The ``overlay`` snapshotter: trees are stacks of snapshots under overlayfs, and a step's upper directory its changes.

A stack is given oldest first, as in ``rootfs.diff_ids``. Nothing here is ever attached to the machine's own tree.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from ocibuild.errors import SandboxError
from ocibuild.fs import Root
from ocibuild.layer import is_opaque, pack
from ocibuild.oci import Compression, layer_type
from ocibuild.rootfs.changes import changes
from ocibuild.sandbox import Overlay
from ocibuild.store import Layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ocibuild.layer import Ownership
    from ocibuild.store import ActiveSnapshot, Snapshot, Store

# what a step's mounts need to stand on; as the lowest directory of every step, they are never a change, while /proc,
# /sys and /dev are one where they are missing, as with docker
_STUBS = ("etc/hosts", "etc/resolv.conf")
_PROBE = "user.ocibuild.probe"


class OverlaySnapshotter:
    """Makes trees of snapshots by mounting them, as the owner of the mount namespace that this process is in."""

    def __init__(self, store: Store, ownership: Ownership) -> None:
        self._store = store
        self._ownership = ownership
        self._empty = os.path.join(store.root, "empty")
        self._mount_point = os.path.join(store.root, "mount-point")
        self._stubs = os.path.join(store.root, "stubs")

    def prepare(self) -> None:
        """See Snapshotter."""
        os.makedirs(self._empty, exist_ok=True)
        _refuse_without_attributes(self._store.root)
        os.makedirs(self._mount_point, exist_ok=True)
        for name in _STUBS:
            _make_stub(self._stubs, name)

    @contextmanager
    def running(self, stack: Sequence[Snapshot], active: ActiveSnapshot) -> Iterator[Overlay]:
        """See Snapshotter."""
        yield self._overlay([*_topmost_first(stack), self._stubs], active)

    def tree_of_mount(self, stack: Sequence[Snapshot], active: ActiveSnapshot, *, read_only: bool) -> Overlay:
        """See Snapshotter."""
        lowers = [*_topmost_first(stack), self._empty]
        if read_only:
            return Overlay(lowers, None, None, self._mount_point)
        folder = os.path.join(active.scratch, f"mount-{len(os.listdir(active.scratch))}")
        upper, work = os.path.join(folder, "upper"), os.path.join(folder, "work")
        for path in (folder, upper, work):
            os.mkdir(path)
        os.chmod(upper, 0o755)
        return Overlay(lowers, upper, work, self._mount_point)

    @contextmanager
    def writing(self, stack: Sequence[Snapshot], active: ActiveSnapshot) -> Iterator[Root]:
        """See Snapshotter."""
        with _mounted(self._overlay([*_topmost_first(stack), self._empty], active)) as root:
            yield root

    @contextmanager
    def reading(self, stack: Sequence[Snapshot]) -> Iterator[Root]:
        """See Snapshotter."""
        with _mounted(Overlay([*_topmost_first(stack), self._empty], None, None, self._mount_point)) as root:
            yield root

    @property
    def mount_point(self) -> str:
        """See Snapshotter."""
        return self._mount_point

    def forget_targets(self, active: ActiveSnapshot, created: Sequence[str]) -> None:
        """See Snapshotter; the directories that they were in keep their times."""
        with Root.open(active.upper) as upper:
            for path in created:
                with suppress(OSError), upper.parent_of(path) as (fd, name):
                    before = os.stat(".", dir_fd=fd)
                    _remove_if_empty(fd, name)
                    os.utime(".", ns=(before.st_atime_ns, before.st_mtime_ns), dir_fd=fd)

    def pack(
        self,
        stack: Sequence[Snapshot],
        snapshot: Snapshot,
        *,
        compression: Compression = Compression.GZIP,
        progress: Callable[[int], None] | None = None,
    ) -> Layer:
        """See Snapshotter."""
        with ExitStack() as cleanup:
            views: list[Root] = []

            def below() -> Root:
                if not views:
                    views.append(cleanup.enter_context(self.reading(stack)))
                return views[0]

            upper = cleanup.enter_context(Root.open(snapshot.path))
            with self._store.blobs.writer() as blob:
                packed = pack(
                    changes(upper, below),
                    upper,
                    blob.write,
                    compression=compression,
                    owners=self._ownership,
                    progress=progress,
                )
        return Layer(packed.diff_id, blob.describe(layer_type(compression)))

    def _overlay(self, lowers: list[str], active: ActiveSnapshot) -> Overlay:
        # a new one for each mount: overlayfs refuses one that a volatile mount has used
        work = os.path.join(active.scratch, f"work-{len(os.listdir(active.scratch))}")
        os.mkdir(work)
        os.chmod(active.upper, 0o755)  # it shows as the tree's root, whatever our umask
        return Overlay(lowers, active.upper, work, self._mount_point)


def _refuse_without_attributes(root: str) -> None:
    """Raise SandboxError where the store's file system has no user xattrs: what is opaque could not be marked so.

    The kernel would mount an overlay all the same, and fail only when a step replaces a directory.
    """
    try:
        os.setxattr(root, _PROBE, b"")
        os.removexattr(root, _PROBE)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        raise SandboxError(
            f"{root}: its file system has no extended attributes of users, which overlay mounts need",
            remedy="choose a store on ext4, xfs, btrfs or, from Linux 6.6 on, tmpfs with --root",
        ) from error


def _make_stub(stubs: str, name: str) -> None:
    """Make a file in a directory, with the modes that any user of a step needs."""
    folder, file = os.path.split(os.path.join(stubs, name))
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o755)
    fd = os.open(os.path.join(folder, file), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644)
    os.fchmod(fd, 0o644)
    os.close(fd)


def _topmost_first(stack: Sequence[Snapshot]) -> list[str]:
    """Return the directories to stack: none below one whose root is opaque, which overlayfs itself does not look at."""
    paths = []
    for snapshot in reversed(stack):
        paths.append(snapshot.path)
        with Root.open(snapshot.path) as layer:
            if is_opaque(layer.fd):
                break
    return paths


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


def _remove_if_empty(dir_fd: int, name: str) -> None:
    status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        os.rmdir(name, dir_fd=dir_fd)
    elif stat.S_ISREG(status.st_mode) and status.st_size == 0:
        os.unlink(name, dir_fd=dir_fd)
