"""What this process may do on this machine: found out by doing it, once, before there is any thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocibuild.errors import SandboxError
from ocibuild.sandbox import Identity, IDs, Spawner, enter

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.build.request import Snapshotting
    from ocibuild.executor import Executor
    from ocibuild.layer import Ownership
    from ocibuild.rootfs import Snapshotter
    from ocibuild.store import Store


@dataclass(frozen=True, slots=True)
class Machine:
    """This process in namespaces of its own, with a spawner beside it; or why not. Close it at the end."""

    identity: Identity | None
    spawner: Spawner | None
    refusal: SandboxError | None = None

    @classmethod
    def enter(cls) -> Machine:
        """Enter the namespaces and fork the spawner; to be called once, while this process has one thread."""
        try:
            identity = enter()
            return cls(identity, Spawner.start())
        except SandboxError as error:
            return cls(None, None, error)
        except OSError as error:
            refusal = SandboxError(
                f"this machine refuses what a sandbox needs: {error.strerror}",
                remedy="`ocibuild doctor` tells what to change",
            )
            return cls(None, None, refusal)

    @property
    def can_unpack(self) -> bool:
        """Whether layers can be unpacked here in the form in which they are stacked."""
        return self.identity is not None

    def executor(self, warn: Callable[[str], None] = lambda _text: None) -> Executor:
        """Return an executor; raise the SandboxError of ``enter()`` where this machine refuses one.

        ``warn`` hears what a user should know of it, from any thread.
        """
        from ocibuild.executor import ChrootExecutor

        if self.spawner is None or self.identity is None:
            raise self.refusal or SandboxError("this machine has no executor")
        return ChrootExecutor(self.spawner, self.identity, warn=warn)

    def snapshotter(self, store: Store, wanted: Snapshotting, warn: Callable[[str], None]) -> Snapshotter:
        """Return the snapshotter for a store, ready; ``warn`` hears where the slower one must be taken unasked.

        Raises SandboxError where the one that is wanted cannot work.
        """
        from ocibuild.rootfs import CopySnapshotter, OverlaySnapshotter

        if wanted != "copy":
            overlay = OverlaySnapshotter(store, self.ownership())
            refusal = self._refusal_of_mounts() or overlay.refusal()
            if refusal is None:
                overlay.prepare()
                return overlay
            if wanted == "overlay":
                raise SandboxError(
                    f"--snapshotter overlay: {refusal}",
                    remedy="use --snapshotter copy; `ocibuild doctor` tells what to change",
                )
            warn(f"{refusal}; each stage gets a copy of its root file system (--snapshotter copy)")
        copy = CopySnapshotter(store, self.ownership())
        copy.prepare()
        return copy

    def _refusal_of_mounts(self) -> str | None:
        if self.identity is not None:
            return None
        return self.refusal.message if self.refusal else "this machine refuses mounts"

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
