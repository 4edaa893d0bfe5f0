"""What this process may do on this machine: found out by doing it, once, before there is any thread."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

from ocibuild.errors import SandboxError
from ocibuild.executor import WAYS, Facts, Forced, Row, choose
from ocibuild.sandbox import Identity, IDs, Spawner, enter, refuse_where_steps_are_refused, stay
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.executor import Executor
    from ocibuild.layer.owners import Ownership
    from ocibuild.rootfs.snapshotter import Snapshotter
    from ocibuild.store import Store

_IN_NAMESPACES = {IDs.ALL: Row.ROOT, IDs.RANGE: Row.RANGE, IDs.ONE: Row.ONE_ID}
_AUTO = Forced()
_MOST_FILES = 1 << 16


@dataclass(frozen=True, slots=True)
class Machine:
    """This process, in namespaces of its own where it gets them, with a spawner beside it; or why not.

    Close it at the end. ``proot`` is the path of proot, where steps run under it.
    """

    row: Row
    identity: Identity | None
    spawner: Spawner | None
    refusal: SandboxError | None = None
    proot: str | None = None
    forced: Forced = _AUTO

    @classmethod
    def enter(cls, forced: Forced = _AUTO, proot: Callable[[], str | None] = lambda: None) -> Machine:
        """Enter the namespaces and fork the spawner; to be called once, while this process has one thread.

        ``proot`` finds one, where that matters.
        """
        machine = cls._enter_or_refuse(forced, proot)
        _open_as_many_files_as_allowed()
        return machine

    @classmethod
    def _enter_or_refuse(cls, forced: Forced, proot: Callable[[], str | None]) -> Machine:
        try:
            return cls._enter(forced, proot)
        except SandboxError as error:
            return cls(Row.NONE, None, None, error)
        except OSError as error:
            refusal = SandboxError(
                f"this machine refuses what a sandbox needs: {error.strerror}",
                remedy="`ocibuild doctor` tells what to change",
            )
            return cls(Row.NONE, None, None, refusal)

    @classmethod
    def _enter(cls, forced: Forced, proot: Callable[[], str | None]) -> Machine:
        refusal = SandboxError("--executor proot was asked for")
        if forced.executor != "proot":
            try:
                refuse_where_steps_are_refused()
                identity = enter()
                return cls(_IN_NAMESPACES[identity.ids], identity, Spawner.start(), forced=forced)
            except SandboxError as error:
                refusal = error
        found = stay()
        path = proot() if forced.executor != "chroot" else None
        is_root = found.ids is IDs.ALL
        choice = choose(Facts(chroot=is_root, mknod=is_root, chown=is_root, proot=path is not None), forced)
        if choice.row is Row.NONE:
            raise _nothing_left(forced, refusal)
        identity = found if WAYS[choice.row].ids is IDs.ALL else Identity(IDs.ONE, limit=1)
        return cls(choice.row, identity, Spawner.start(namespaced=False), refusal, path, forced)

    @property
    def can_unpack(self) -> bool:
        """Whether layers can be unpacked here in the form in which they are stacked."""
        return self.identity is not None

    def executor(self, warn: Callable[[str], None] = lambda _text: None) -> Executor:
        """Return an executor; raise the SandboxError of ``enter()`` where this machine refuses one.

        ``warn`` hears what a user should know of it, from any thread.
        """
        if self.spawner is None or self.identity is None:
            raise self.refusal or SandboxError("this machine has no executor")
        if self.identity.complaint:
            warn(self.identity.complaint)
        match self.row:
            case Row.ROOT_CHROOT:
                from ocibuild.executor.bare import BareExecutor

                return BareExecutor(self.spawner, warn)
            case Row.ROOT_PROOT | Row.PROOT if self.proot is not None:
                from ocibuild.executor.proot import ProotExecutor

                return ProotExecutor(self.spawner, self.proot, warn)
            case _:
                from ocibuild.executor.chroot import ChrootExecutor

                return ChrootExecutor(self.spawner, self.identity, warn=warn)

    def snapshotter(self, store: Store, warn: Callable[[str], None]) -> Snapshotter:
        """Return the snapshotter for a store, ready; ``warn`` hears where the slower one must be taken unasked.

        Raises SandboxError where the one that is insisted on cannot work.
        """
        if self.forced.snapshotter != "copy":
            from ocibuild.rootfs.overlay import OverlaySnapshotter

            overlay = OverlaySnapshotter(store, self.ownership())
            refusal = self._refusal_of_mounts() or overlay.refusal()
            if refusal is None:
                overlay.prepare()
                return overlay
            if self.forced.snapshotter == "overlay":
                raise SandboxError(
                    f"--snapshotter overlay: {refusal}",
                    remedy="use --snapshotter copy; `ocibuild doctor` tells what to change",
                )
            warn(f"{refusal}; each stage gets a copy of its root file system (--snapshotter copy)")
        from ocibuild.rootfs.copy import CopySnapshotter

        in_namespaces = self.row is Row.NONE or WAYS[self.row].namespaces
        copy = CopySnapshotter(store, self.ownership(), mounts_are_kept=in_namespaces)
        copy.prepare()
        return copy

    def _refusal_of_mounts(self) -> str | None:
        if self.row is not Row.NONE and WAYS[self.row].namespaces:
            return None
        return self.refusal.message if self.refusal else "this machine refuses mounts"

    def ownership(self) -> Ownership:
        """Return how owners are put on files here."""
        from ocibuild.layer.owners import MappedOwners, RealOwners, RecordedOwners

        match self.identity:
            case Identity(ids=IDs.ONE):
                return RecordedOwners()
            case Identity(ids=IDs.RANGE):
                return MappedOwners.of_this_process()
            case _:
                return RealOwners.of_this_process()

    def use(self, store: Store) -> None:
        """Have a store tell the snapshots that can be used here from those that cannot."""
        if self.identity is not None:
            store.snapshots.owners = "recorded" if self.identity.ids is IDs.ONE else "real"

    def close(self) -> None:
        """End the spawner and what it runs."""
        if self.spawner is not None:
            self.spawner.close()


def _open_as_many_files_as_allowed() -> None:
    """Raise the soft limit on open files: each layer of a stack that is unpacked needs some.

    The spawner was forked before, so steps have the limit that we were started with.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _nothing_left(forced: Forced, refusal: SandboxError) -> SandboxError:
    """Return the error of a machine on which no step can be run as it is asked for."""
    if forced.executor == "proot":
        return SandboxError(
            "--executor proot: there is no proot on PATH",
            remedy="install proot, or name it: OCIBUILD_PROOT, or proot in [build] of the configuration",
        )
    if forced.executor == "chroot":
        return SandboxError(f"--executor chroot: {refusal.message}", remedy=refusal.remedy)
    remedy = f"{refusal.remedy}; or install proot" if refusal.remedy else "install proot"
    return SandboxError(refusal.message, remedy=remedy)
