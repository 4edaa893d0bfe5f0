"""Which row of the table a machine is in: a pure function of what was tried, and of what the user insists on."""

from __future__ import annotations

from ocibuild.executor.rows import WAYS, Row
from ocibuild.sandbox import IDs
from ocibuild.values import dataclass

_AUTO = "auto"
_WHY = {
    Row.ROOT: "root may mount here, and every ID is there",
    Row.RANGE: "user namespaces with mounts are allowed, and a range of IDs is mapped",
    Row.ONE_ID: "user namespaces with mounts are allowed; no range of IDs is mapped",
    Row.ROOT_PROOT: "namespaces with mounts are refused; root may change owners, and proot runs",
    Row.ROOT_CHROOT: "namespaces with mounts are refused, and proot does not run; root may chroot, mknod and chown",
    Row.PROOT: "namespaces with mounts are refused, and what root may do without; proot runs",
    Row.NONE: "namespaces with mounts are refused, so is what root may do without, and proot does not run",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What works on a machine for this process.

    ``ids`` are those in the namespaces that a build enters, None where it cannot enter them; ``step`` is all else that
    a step in namespaces needs. ``chroot``, ``mknod`` and ``chown`` are without namespaces.
    """

    ids: IDs | None = None
    step: bool = False
    overlay: bool = False
    chroot: bool = False
    mknod: bool = False
    chown: bool = False
    proot: bool = False
    notification: bool = False


@dataclass(frozen=True, slots=True)
class Forced:
    """What ``--executor`` and ``--snapshotter`` ask for; ``auto`` is what the machine allows."""

    executor: str = _AUTO
    snapshotter: str = _AUTO

    @property
    def anything(self) -> bool:
        """Whether one of them insists on something."""
        return (self.executor, self.snapshotter) != (_AUTO, _AUTO)


@dataclass(frozen=True, slots=True)
class Choice:
    """How a build runs its steps, and why; where it cannot, the row is ``NONE`` and the rest but ``why`` is unset.

    ``owners_recorded`` is set where there is one ID alone, and owners are kept all the same.
    """

    row: Row
    why: str
    executor: str | None = None
    snapshotter: str | None = None
    namespaces: bool = False
    ids: IDs | None = None
    owners_recorded: bool = False


_NOTHING_FORCED = Forced()


def choose(facts: Facts, forced: Forced = _NOTHING_FORCED) -> Choice:
    """Return the best row that these facts allow and that gives what is forced."""
    row = next((row for row in WAYS if _allowed(row, facts) and forced.executor in {_AUTO, WAYS[row].executor}), None)
    if row is None:
        return Choice(Row.NONE, _why_no_executor(forced.executor))
    way = WAYS[row]
    mounts = way.namespaces and facts.overlay
    if forced.snapshotter == "overlay" and not mounts:
        return Choice(Row.NONE, "--snapshotter overlay: an overlay is refused here")
    snapshotter = "overlay" if mounts and forced.snapshotter != "copy" else "copy"
    recorded = way.ids is IDs.ONE and facts.notification
    return Choice(row, _why(row, facts, forced), way.executor, snapshotter, way.namespaces, way.ids, recorded)


def _allowed(row: Row, facts: Facts) -> bool:
    match row:
        case Row.ROOT | Row.RANGE | Row.ONE_ID:
            return facts.step and facts.ids is WAYS[row].ids
        case Row.ROOT_PROOT:
            return facts.proot and facts.chown
        case Row.ROOT_CHROOT:
            return facts.chroot and facts.mknod and facts.chown
        case Row.PROOT:
            return facts.proot
        case Row.NONE:
            return True


def _why(row: Row, facts: Facts, forced: Forced) -> str:
    why = f"--executor {forced.executor} was asked for" if forced.executor != _AUTO else _WHY[row]
    if forced.snapshotter != _AUTO:
        return f"{why}; --snapshotter {forced.snapshotter} was asked for"
    if WAYS[row].namespaces and not facts.overlay:
        return f"{why}; an overlay is refused, so files are copied"
    return why


def _why_no_executor(executor: str) -> str:
    match executor:
        case "proot":
            return "--executor proot: proot does not run here"
        case "chroot":
            return "--executor chroot: neither namespaces with mounts nor chroot, mknod and chown are allowed here"
        case _:
            return _WHY[Row.NONE]
