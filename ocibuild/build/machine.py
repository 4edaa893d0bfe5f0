"""What this process may do on this machine: found out by doing it, once, before there is any thread."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocibuild.build.way import Facts, Way, choose
from ocibuild.errors import SandboxError
from ocibuild.sandbox import Identity, IDs, Spawner, enter, may_follow_all, stay

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.executor import Executor
    from ocibuild.layer import Ownership
    from ocibuild.rootfs import Snapshotter
    from ocibuild.store import Store

CANNOT_FOLLOW = (
    "programs that change their user, such as su and apt's downloads, fail under proot without CAP_SYS_PTRACE: "
    "start the container with --cap-add SYS_PTRACE, or use --executor chroot"
)


@dataclass(frozen=True, slots=True)
class Machine:
    """This process, in namespaces of its own where it gets them, with a spawner beside it; or why not.

    Close it at the end. ``proot`` is the path of proot, where steps run under it.
    """

    identity: Identity | None
    spawner: Spawner | None
    refusal: SandboxError | None = None
    way: Way = Way.NAMESPACES
    proot: str | None = None

    @classmethod
    def enter(cls, wanted: str = "auto", proot: Callable[[], str | None] = lambda: None) -> Machine:
        """Enter the namespaces and fork the spawner; to be called once, while this process has one thread.

        ``wanted`` is the executor that is insisted on, or ``auto``; ``proot`` finds one, where that matters.
        """
        try:
            return cls._enter(wanted, proot)
        except SandboxError as error:
            return cls(None, None, error)
        except OSError as error:
            refusal = SandboxError(
                f"this machine refuses what a sandbox needs: {error.strerror}",
                remedy="`ocibuild doctor` tells what to change",
            )
            return cls(None, None, refusal)

    @classmethod
    def _enter(cls, wanted: str, proot: Callable[[], str | None]) -> Machine:
        refusal, user = None, os.geteuid()
        if wanted != "proot":
            try:
                return cls(enter(), Spawner.start())
            except SandboxError as error:
                refusal = error
            if os.geteuid() != user:  # in a user namespace that got no IDs, from which there is no way back
                raise refusal
        identity, path = stay(), proot()
        is_root = identity.ids is IDs.ALL
        way = choose(wanted, Facts(refusal, is_root, may_follow_all(), path is not None))
        return cls(identity, Spawner.start(namespaced=False), way=way, proot=path)

    @property
    def mounts(self) -> bool:
        """Whether mounts are possible here; where they are not, the root of a step must be a folder."""
        return self.way is Way.NAMESPACES

    @property
    def can_unpack(self) -> bool:
        """Whether layers can be unpacked here in the form in which they are stacked."""
        return self.identity is not None

    def executor(self, store: str, warn: Callable[[str], None]) -> Executor:
        """Return an executor for trees in the store at ``store``; ``warn`` hears what it cannot offer.

        Raises the SandboxError of ``enter()`` where this machine refuses one.
        """
        from ocibuild.executor import BareExecutor, ChrootExecutor, ProotExecutor

        if self.spawner is None or self.identity is None:
            raise self.refusal or SandboxError("this machine has no executor")
        if self.way is Way.BARE:
            return BareExecutor(self.spawner, warn)
        if self.way is Way.PROOT and self.proot is not None:
            real_ids = self.identity.ids is not IDs.ONE
            if real_ids:
                os.chmod(store, 0o711)  # under proot other users reach their files by the machine's paths
            if real_ids and not may_follow_all():
                warn(CANNOT_FOLLOW)
            return ProotExecutor(self.spawner, self.proot, real_ids=real_ids)
        return ChrootExecutor(self.spawner, self.identity)

    def snapshotter(self, store: Store) -> Snapshotter:
        """Return the snapshotter for a store, ready."""
        from ocibuild.rootfs import OverlaySnapshotter

        snapshotter = OverlaySnapshotter(store, self.ownership())
        snapshotter.prepare()
        return snapshotter

    def ownership(self) -> Ownership:
        """Return how owners are put on files here."""
        from ocibuild.layer import MappedOwners, RealOwners, RecordedOwners

        match self.identity:
            case Identity(ids=IDs.ONE):
                return RecordedOwners()
            case Identity(ids=IDs.RANGE):
                return MappedOwners.of_this_process()
            case _:
                return RealOwners.of_this_process()

    def close(self) -> None:
        """End the spawner and what it runs."""
        if self.spawner is not None:
            self.spawner.close()
