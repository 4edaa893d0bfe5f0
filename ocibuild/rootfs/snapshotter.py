"""What every snapshotter does: trees of stacked snapshots, to be read, changed or run in."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ocibuild.oci import Compression
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from ocibuild.fs import Root
    from ocibuild.layer.owners import Ownership
    from ocibuild.sandbox import RootTree
    from ocibuild.store import ActiveSnapshot, BlobWriter, Layer, Snapshot, Store

SOCKETS = "whiteouts-are-sockets"
"""An empty file of a store whose file system refuses the whiteouts of overlayfs: its snapshots cannot be mounted."""


class MountedTree(NamedTuple):
    """A tree that a step sees a part of, and what that part is called in it."""

    tree: RootTree
    path: str


class Snapshotter(ABC):
    """Makes trees of snapshots; a stack is given oldest first, as in ``rootfs.diff_ids``. Safe to use from threads.

    ``mount_point`` is an empty directory that a step may mount over for a moment. ``shares_files`` is whether a file of
    an earlier snapshot may be linked to in the changes that ``writing()`` has made. ``shows_running`` is whether what
    is changed in a tree by what runs in it is in the snapshot at once.
    """

    shares_files = False
    shows_running = False

    def __init__(self, store: Store, ownership: Ownership) -> None:
        self.store = store
        self.ownership = ownership
        self.mount_point = os.path.join(store.root, "mount-point")

    def prepare(self) -> None:
        """Make the store's own directories that every tree rests on; idempotent."""
        os.makedirs(self.mount_point, exist_ok=True)

    @abstractmethod
    def close(self) -> None:
        """Let go of what was made for this build alone; to be called at its end."""

    @abstractmethod
    def running(
        self, stack: Sequence[Snapshot], active: ActiveSnapshot, *, keep: bool = True
    ) -> AbstractContextManager[RootTree]:
        """Give the tree that a step sees and changes; once the block is left its changes are in ``active``.

        Unless ``keep``, nobody wants these. Where the block raises, the tree is not used again.
        """

    @abstractmethod
    def forget_targets(self, active: ActiveSnapshot, created: Sequence[str], touched: Sequence[str] = ()) -> None:
        """Remove the mount targets that had to be made in a step's tree, where nothing was put into them.

        ``touched`` is as it was before the step but for its ctime, and no change.

        To be called before the block of ``running()`` is left.
        """

    @abstractmethod
    def tree_of_mount(
        self, stack: Sequence[Snapshot], active: ActiveSnapshot, path: str, *, read_only: bool
    ) -> AbstractContextManager[MountedTree]:
        """Give a tree for a step that sees what is at ``path`` of it; what it changes there is thrown away.

        The block is not left before the step has ended.
        """

    @abstractmethod
    def writing(self, stack: Sequence[Snapshot], active: ActiveSnapshot) -> AbstractContextManager[Root]:
        """Give the tree of ``stack``; once the block is left what was changed in it is in ``active``."""

    @abstractmethod
    def changing(self, stack: Sequence[Snapshot], active: ActiveSnapshot) -> AbstractContextManager[Root]:
        """Give the tree of ``stack`` with what ``active`` has changed in it already; what is changed comes to that.

        Where the block raises, ``active`` may have what was changed by then.
        """

    def give_time(
        self,
        stack: Sequence[Snapshot],  # noqa: ARG002  (trees may stand there)
        active: ActiveSnapshot,
        directories: Sequence[str],
        mtime_ns: int,
    ) -> None:
        """Give directories among what was changed in the tree of ``stack`` another time, before that is committed."""
        for name in directories:
            os.utime(os.path.join(active.upper, name), ns=(mtime_ns, mtime_ns), follow_symlinks=False)

    @abstractmethod
    def reading(self, stack: Sequence[Snapshot]) -> AbstractContextManager[Root]:
        """Give the tree of ``stack``, to be read."""

    def pack(
        self,
        stack: Sequence[Snapshot],
        snapshot: Snapshot,
        *,
        compression: Compression = Compression.GZIP,
        threads: int = 1,
        progress: Callable[[int], None] | None = None,
        large: Callable[[BlobWriter], None] | None = None,
    ) -> Layer:
        """Pack the changes of ``snapshot``, which lies on ``stack``, into a layer in the store.

        The layer is the same whatever the number of ``threads`` that compress it. ``large`` hears of a large one's blob
        while it is still being written.
        """
        from ocibuild.rootfs.changes import pack_changes  # a container needs nothing that packs

        return pack_changes(
            self.store,
            self.ownership,
            stack,
            snapshot,
            compression=compression,
            threads=threads,
            progress=progress,
            large=large,
        )
