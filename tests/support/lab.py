"""Real namespaces for tests: work done in a forked child, as root or as another user, and steps run there."""

from __future__ import annotations

import encodings.ascii
import encodings.idna  # noqa: F401
import os
import pickle
import shutil
import stat
import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

# what is imported when it is used must be here before another user may not read it
import ocibuild.layer.pack
import ocibuild.layer.unpack
import ocibuild.sandbox.supervision  # noqa: F401
from ocibuild.executor import Process
from ocibuild.executor.chroot import ChrootExecutor
from ocibuild.graph import Stream
from ocibuild.layer.owners import MappedOwners, RealOwners, RecordedOwners
from ocibuild.rootfs.copy import CopySnapshotter
from ocibuild.rootfs.overlay import OverlaySnapshotter
from ocibuild.sandbox import IDs, Spawner, enter
from ocibuild.sandbox.syscalls import mount, prctl
from ocibuild.store import Store
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ocibuild.layer.owners import Ownership
    from ocibuild.rootfs.snapshotter import Snapshotter
    from ocibuild.sandbox import Identity
    from ocibuild.store import ActiveSnapshot, Snapshot

Result = TypeVar("Result")
BUSYBOX = "/usr/bin/busybox"
PR_SET_DUMPABLE = 4
LONELY = 64_321
"""A user without a name, and so without a range of subordinate IDs."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become other users")
needs_busybox = pytest.mark.skipif(not os.path.exists(BUSYBOX), reason="busybox-static is not installed")


def in_child(work: Callable[[], Result], *, uid: int | None = None) -> Result:
    """Do ``work`` in a forked child, as another user where one is given, and return or raise what it does."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _work_and_exit(work, write, uid)
    os.close(write)
    with open(read, "rb") as file:
        answer = file.read()
    _, status = os.waitpid(child, 0)
    if not answer:
        raise AssertionError(f"the child ended without an answer: {status}")
    good, value = pickle.loads(answer)
    if good:
        return value  # type: ignore[no-any-return]
    raise value


def _work_and_exit(work: Callable[[], object], write: int, uid: int | None) -> None:
    try:
        if uid is not None:
            become_user(uid)
        answer = pickle.dumps((True, work()))
    except BaseException as error:  # noqa: BLE001  (raised again in the parent)
        answer = pickle.dumps((False, AssertionError("".join(traceback.format_exception(error)))))
    finally:
        with open(write, "wb") as file:
            file.write(answer)
        os._exit(0)


def become_user(uid: int) -> None:
    """Give up root for good."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    prctl(PR_SET_DUMPABLE, 1)  # else /proc/self stays root's


@dataclass(frozen=True, slots=True)
class Ended:
    """How a step ended: its status, and what it wrote to each stream."""

    status: int
    out: str
    err: str
    created: tuple[str, ...]


@dataclass(slots=True)
class Lab:
    """A store, and steps run on stacks of snapshots in it."""

    identity: Identity
    spawner: Spawner
    executor: ChrootExecutor
    store: Store
    snapshotter: Snapshotter
    ownership: Ownership
    base: list[Snapshot] = field(default_factory=list)

    def snapshot(self, fill: Callable[[Path], None]) -> Snapshot:
        """Return a snapshot that holds what ``fill`` puts into its folder."""
        with self.store.snapshots.begin() as active:
            fill(Path(active.upper))
            return active.commit()

    def run(self, *args: str, stack: Sequence[Snapshot] | None = None, **settings: object) -> Ended:
        """Run a step on the busybox base, or on ``stack``; what it changes is thrown away."""
        with self.store.snapshots.begin() as active:
            return self.run_in(active, *args, stack=stack, **settings)  # type: ignore[arg-type]

    def run_in(
        self,
        active: ActiveSnapshot,
        *args: str,
        stack: Sequence[Snapshot] | None = None,
        forget: bool = False,
        **settings: object,
    ) -> Ended:
        """Run a step whose changes go into ``active``, without the mount targets that were made if they are to go."""
        pieces: dict[Stream, bytes] = dict.fromkeys(Stream, b"")

        def output(stream: Stream, piece: bytes) -> None:
            pieces[stream] += piece

        process = Process(args=args, **{"env": ("PATH=/bin",), **settings})  # type: ignore[arg-type]
        with self.snapshotter.running(self.base if stack is None else stack, active) as root:
            outcome = self.executor.run(process, root, active.scratch, output=output)
            if forget:
                self.snapshotter.forget_targets(active, outcome.created)
        out, err = (pieces[stream].decode() for stream in Stream)
        return Ended(outcome.exit_status, out, err, outcome.created)

    def rest(self) -> int:
        """Wait until all is done for the last step, and return the process that waits for the next."""
        pid = self.spawner._pid
        children = Path(f"/proc/{pid}/task/{pid}/children")

        def is_at_rest() -> bool:
            before = children.read_text().split()
            time.sleep(0.1)  # what is there for longer than this is no step's
            return len(before) == 1 and children.read_text().split() == before

        wait_until(is_at_rest)
        return int(children.read_text())

    def sh(self, script: str, **settings: object) -> Ended:
        """Run a shell script as a step."""
        return self.run("/bin/sh", "-c", script, **settings)  # type: ignore[arg-type]


def busybox(folder: Path) -> None:
    """Put busybox, its commands, the usual account files and the system's folders into a folder."""
    (folder / "bin").mkdir()
    shutil.copy(BUSYBOX, folder / "bin/busybox")
    (folder / "bin/busybox").chmod(0o755)
    names = "sh cat ls id true sleep chmod chown stat mkdir rm rmdir ln mv touch dd mknod mount ps env pwd echo kill"
    for name in (*names.split(), "hostname", "wc", "yes", "head", "readlink", "grep", "tail", "unshare", "test"):
        (folder / "bin" / name).symlink_to("busybox")
    (folder / "etc").mkdir()
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\napp:x:1001:\nvideo:x:44:app\n")
    for name in ("tmp", "dev", "proc", "sys"):
        (folder / name).mkdir()
    for name, mode in (("tmp", 0o1777), *((name, 0o755) for name in ("bin", "etc", "dev", "proc", "sys"))):
        (folder / name).chmod(mode)


@contextmanager
def lab(root: Path, *, copies: bool = False, file_system: str | None = None) -> Iterator[Lab]:
    """Enter namespaces, for good, and yield a lab with a store at ``root``, whose trees are mounted, or else copies.

    The store is on a new ``file_system`` where one is named: ``tmpfs``, ``ramfs`` or ``overlay``.
    """
    identity = enter()
    if file_system is not None:
        _mount(file_system, root)
    spawner = Spawner.start()
    ownership = _ownership(identity)
    with Store.open(os.fspath(root)) as store:
        snapshotter = CopySnapshotter(store, ownership) if copies else OverlaySnapshotter(store, ownership)
        snapshotter.prepare()
        made = Lab(identity, spawner, ChrootExecutor(spawner, identity), store, snapshotter, ownership)
        made.base.append(made.snapshot(busybox))
        yield made
        snapshotter.close()
    spawner.close()


def _mount(kind: str, root: Path) -> None:
    if kind == "overlay":
        parts = [root.parent / name for name in ("lower", "upper", "work")]
        for part in parts:
            part.mkdir(parents=True, exist_ok=True)
        options = "lowerdir={},upperdir={},workdir={}".format(*parts)
    root.mkdir(parents=True, exist_ok=True)
    mount(kind, os.fspath(root), kind, 0, options if kind == "overlay" else None)


def _ownership(identity: Identity) -> Ownership:
    match identity.ids:
        case IDs.ALL:
            return RealOwners.of_this_process()
        case IDs.RANGE:
            return MappedOwners.of_this_process()
        case IDs.ONE:
            return RecordedOwners()


def in_lab(
    root: Path,
    work: Callable[[Lab], Result],
    *,
    uid: int | None = None,
    copies: bool = False,
    file_system: str | None = None,
    before: Callable[[], None] = lambda: None,
) -> Result:
    """Do ``work`` in a lab of its own, in a child that has done ``before``."""
    folder = root / "lab"
    folder.mkdir(exist_ok=True)
    if uid is not None:
        os.chown(folder, uid, uid)
        open_way(folder)

    def inside() -> Result:
        before()
        with lab(folder / "store", copies=copies, file_system=file_system) as made:
            return work(made)

    return in_child(inside, uid=uid)


def open_way(folder: Path) -> None:
    """Let other users reach a folder of pytest's, which are closed to them."""
    for parent in folder.parents:
        if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & stat.S_IXOTH:
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
