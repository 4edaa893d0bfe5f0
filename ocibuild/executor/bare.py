"""The bare ``chroot`` executor, for root that may neither make namespaces nor mount, as in a container by default.

What others mount is put into the tree for the time of the step and taken out after it: ``/dev`` with nodes made there,
``/etc/hosts``, ``/etc/resolv.conf``, and what RUN asks to be mounted. A cache is moved into the tree and back, so steps
take turns with it; a secret is a file on disk meanwhile. ``/proc`` and ``/sys`` stay empty.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, assert_never

from ocibuild.errors import Interrupted, SandboxError
from ocibuild.executor.chroot import DEVICES, LINKS, Prepared, SpawnedExecutor, network_files
from ocibuild.executor.foreign import as_it_is
from ocibuild.executor.placing import placing
from ocibuild.executor.refusals import refuse_unshared
from ocibuild.executor.sources import opened_source
from ocibuild.fs import Root
from ocibuild.layer.materialise import copy_entry
from ocibuild.sandbox import Bind, FileSystem, Folder, Secret, StepSpec, Sysfs, Tmpfs, Tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocibuild.executor.placing import Placer
    from ocibuild.executor.process import Process
    from ocibuild.sandbox import Mount, RootTree

NO_PROC = (
    "steps have no /proc and no /sys, as this container lets nothing be mounted: install proot, or start it with "
    "--security-opt seccomp=unconfined --security-opt systempaths=unconfined"
)
_NO_EMULATOR = "install proot and qemu-user-static"
_PAUSE = 0.02


class BareExecutor(SpawnedExecutor):
    """Runs processes through a spawner without namespaces; ``warn`` hears once what cannot be offered."""

    @contextmanager
    def prepared(self, process: Process, root: RootTree, scratch: str) -> Iterator[Prepared]:
        """See SpawnedExecutor."""
        refuse_unshared(process, where="this container")
        assert isinstance(root, Folder)
        self.warn_once(NO_PROC)
        touched: list[str] = []
        with self._turns(process.mounts), placing(root.path, scratch, touched) as placer:
            placer.put("/dev", _make_dev, folder=True)
            for mount in (*network_files(scratch, process), *process.mounts):
                self._place(placer, mount)
            spec = _spec(process, root)
            yield Prepared(spec, touched, lambda asked: spec._replace(**asked.settings(), makes_directory=False))

    def _place(self, placer: Placer, mount: Mount) -> None:
        """Put what a mount shows into the tree."""
        match mount:
            case Bind(source):
                self._place_bind(placer, source, mount.target)
            case Tree():
                with opened_source(mount) as (tree, path), tree.parent_of(path) as (fd, name):
                    folder = stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
                    placer.put(mount.target, lambda to, last: copy_entry(fd, name, to, last), folder=folder)
            case Tmpfs():
                mode = placer.mode_at(mount.target)
                placer.put(mount.target, lambda to, last: _make_folder(to, last, mode), folder=True)
            case Secret():
                placer.put(mount.target, lambda to, last: _write_secret(mount, to, last), folder=False)
            case FileSystem() | Sysfs():
                raise SandboxError(f"mount at {mount.target}: nothing can be mounted in this container")
            case _:
                assert_never(mount)

    def _place_bind(self, placer: Placer, source: str, target: str) -> None:
        if _is_moved(source):
            placer.put(
                target,
                lambda to, last: _move_in(source, to, last),
                folder=True,
                take_back=lambda of, last: _move_out(of, last, source),
            )
        elif stat.S_ISSOCK(os.lstat(source).st_mode):  # an agent's: what connects to a link connects to it
            placer.put(target, lambda to, last: os.link(source, last, dst_dir_fd=to), folder=False)
        else:
            with Root.open(os.path.dirname(source)) as folder:
                name = os.path.basename(source)
                placer.put(target, lambda to, last: copy_entry(folder.fd, name, to, last), folder=False)

    @contextmanager
    def _turns(self, mounts: Sequence[Mount]) -> Iterator[None]:
        """Wait until no other step has one of the directories in its tree that are to be moved into ours.

        All steps take them in the same order, so that none waits for another that waits for it. Raises SandboxError for
        one that is wanted twice, and Interrupted where we are to stop meanwhile.
        """
        wanted: dict[str, str] = {}
        for mount in mounts:
            if isinstance(mount, Bind) and _is_moved(mount.source):
                if mount.source in wanted:
                    raise SandboxError(
                        f"mount at {mount.target}: the same directory is at {wanted[mount.source]} already, and in "
                        "this container it can be at one place only",
                        remedy="mount it once, or install proot",
                    )
                wanted[mount.source] = mount.target
        with ExitStack() as cleanup:
            for source in sorted(wanted):
                fd = os.open(os.path.dirname(source), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                cleanup.callback(os.close, fd)
                self._take_turn(fd)
            yield

    def _take_turn(self, fd: int) -> None:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self.stopped:
                    raise Interrupted from None
                time.sleep(_PAUSE)
            else:
                return


def _spec(process: Process, root: Folder) -> StepSpec:
    foreign = as_it_is(process.platform)
    return StepSpec(
        root=root,
        mounts=[],
        links=[],
        args=list(process.args),
        env=list(process.env),
        user=process.user,
        working_dir=process.working_dir,
        hostname=process.hostname,
        insecure=process.insecure,
        ulimits=process.ulimits,
        terminal=process.terminal,
        lets_in=process.door is not None,
        kept=True,
        bare=True,
        foreign=foreign and foreign._replace(remedy=_NO_EMULATOR),
    )


def _make_dev(parent: int, name: str) -> None:
    """Make a directory with the usual device nodes."""
    with _new_folder(parent, name, 0o755) as dev:
        for node in DEVICES:
            _make_node(dev, node)
        for target, path in LINKS:
            os.symlink(target, os.path.basename(path), dir_fd=dev)
        for folder, mode in (("pts", 0o755), ("shm", 0o1777)):
            with _new_folder(dev, folder, mode):
                pass


def _make_node(dev: int, name: str) -> None:
    """Make a node of the device that the machine has under the same name, and see whether it can be used."""
    try:
        os.mknod(name, stat.S_IFCHR | 0o666, os.stat(f"/dev/{name}").st_rdev, dir_fd=dev)
        os.chmod(name, 0o666, dir_fd=dev)
        if name == "null":
            os.close(os.open(name, os.O_RDWR | os.O_CLOEXEC, dir_fd=dev))
    except PermissionError as error:
        raise SandboxError(
            f"/dev/{name} cannot be made in a step's tree: {error.strerror}",
            remedy="give the container CAP_MKNOD, keep the store on a file system without nodev, or install proot",
        ) from error


@contextmanager
def _new_folder(parent: int, name: str, mode: int) -> Iterator[int]:
    """Make a directory, and give it open."""
    os.mkdir(name, 0o700, dir_fd=parent)
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.fchmod(fd, mode)
        yield fd
    finally:
        os.close(fd)


def _make_folder(parent: int, name: str, mode: int | None) -> None:
    """Make an empty directory with the mode of what it covers, as with docker, else 1777."""
    with _new_folder(parent, name, 0o1777 if mode is None else mode):
        pass


def _write_secret(secret: Secret, parent: int, name: str) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=parent)
    with open(fd, "wb") as file:
        file.write(secret.content.encode("latin-1"))
        os.fchown(fd, secret.uid, secret.gid)
        os.fchmod(fd, secret.mode)


def _is_moved(source: str) -> bool:
    """Tell whether it is a directory, or was one before a build was killed that had it in a tree."""
    try:
        return stat.S_ISDIR(os.lstat(source).st_mode)
    except FileNotFoundError:
        return True


def _move_in(source: str, parent: int, name: str) -> None:
    """Move a directory into the tree; it is a new one where a build was killed that had it there."""
    try:
        os.rename(source, name, dst_dir_fd=parent)
    except FileNotFoundError:
        os.mkdir(name, 0o755, dir_fd=parent)


def _move_out(parent: int, name: str, source: str) -> None:
    try:
        os.rename(name, source, src_dir_fd=parent)
    except (FileNotFoundError, NotADirectoryError):  # the step has removed it
        os.mkdir(source, 0o755)
