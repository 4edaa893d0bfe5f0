"""The ``chroot`` executor: a process in namespaces of its own, with the machine's network unless it wants another."""

from __future__ import annotations

import os
import select
import threading
from abc import ABC, abstractmethod
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ocibuild.errors import Interrupted, SandboxError
from ocibuild.executor.emulation import Emulation
from ocibuild.executor.netfiles import asks_pasta, hosts_file, resolv_conf
from ocibuild.executor.process import Connection
from ocibuild.executor.recording import Log, recorded
from ocibuild.executor.signals import forwarded_to
from ocibuild.executor.terminal import relay
from ocibuild.graph import HOST_GATEWAY, Stream
from ocibuild.sandbox import Bind, FileSystem, Folder, IDs, Pasta, Secret, StepSpec, Sysfs, open_door
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from ocibuild.executor.process import Process
    from ocibuild.sandbox import Admission, FirstSpec, Foreign, Identity, Mount, Outcome, RootTree, Running, Spawner

_PIECE = 64 << 10
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("/proc/kcore", "/dev/core"),
    ("pts/ptmx", "/dev/ptmx"),
)


_PRETENDED = (
    "this kernel has no notification of system calls, or somebody else has it: files that steps give to other users "
    "belong to root in the image; use Linux 5.0 or newer, or a range in /etc/subuid"
)


class Prepared(NamedTuple):
    """What the spawner is to start for a process.

    ``touched`` has at the end the names of what was touched in the tree and is as before. ``admitted`` makes what is to
    be started for one more process beside it, where such a one does not join the namespaces of the first: see
    ``open_door()``.
    """

    spec: FirstSpec
    touched: Sequence[str] = ()
    admitted: Admission | None = None


class SpawnedExecutor(ABC):
    """What executors have in common that run processes through the spawner, from any thread."""

    def __init__(self, spawner: Spawner, warn: Callable[[str], None]) -> None:
        self._spawner = spawner
        self._warn = warn
        self._warned: set[str] = set()
        self._lock = threading.Lock()  # guards the two below
        self._running: set[Running] = set()
        self.stopped = False

    @abstractmethod
    def prepared(self, process: Process, root: RootTree, scratch: str) -> AbstractContextManager[Prepared]:
        """Make ready what a process needs until the block is left, and give what the spawner is to start."""

    def expect(  # noqa: B027  (most have nothing ready)
        self, connection: Connection = Connection.MACHINE, shm_size: int | None = None, *, has_door: bool = False
    ) -> None:
        """See Executor; here the process is made when all is known."""

    def run(
        self, process: Process, root: RootTree, scratch: str, *, output: Callable[[Stream, bytes], None]
    ) -> Outcome:
        """See Executor."""
        with self.prepared(process, root, scratch) as prepared:
            outcome = self.run_spec(prepared.spec, output)
        if outcome.pretended:
            self.warn_once(_PRETENDED)
        return replace(outcome, touched=tuple(dict.fromkeys(prepared.touched)))

    def run_spec(self, spec: FirstSpec, output: Callable[[Stream, bytes], None]) -> Outcome:
        """Run what the spawner is to start to its end."""
        with ExitStack() as cleanup:
            null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            cleanup.callback(os.close, null)
            with ExitStack() as theirs:
                ends = [_pipe(cleanup, theirs) for _ in Stream]
                running = cleanup.enter_context(self.started(spec, null, ends[0][1], ends[1][1]))
            _pump({ends[0][0]: Stream.STDOUT, ends[1][0]: Stream.STDERR}, output)
            outcome = running.wait()
        if self.stopped:  # its status says only that it was killed
            raise Interrupted
        return outcome

    def run_attached(
        self,
        process: Process,
        root: RootTree,
        scratch: str,
        *,
        shown_on: int = 1,
        log: str | None = None,
        begun: Callable[[], None] | None = None,
    ) -> Outcome:
        """See Executor."""
        with self.prepared(process, root, scratch) as prepared, ExitStack() as cleanup:
            null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
            cleanup.callback(os.close, null)
            stdin = 0 if process.interactive else null
            kept = cleanup.enter_context(closing(Log(log))) if log is not None else None
            if process.terminal:  # it opens that itself
                streams = null, null, null
            elif kept is None:
                streams = stdin, 1, 2
            else:
                streams = stdin, *cleanup.enter_context(recorded(kept))
            forwarded = partial(forwarded_to, has_user=begun is None, has_terminal=process.terminal)
            with self.started(prepared.spec, *streams) as running, forwarded(running), ExitStack() as opened:
                terminal = running.terminal() if process.terminal else None
                if process.door is not None:
                    running.wait_for_root()  # who came before would be in another
                    self._open_door(process.door, prepared.admitted, opened)
                if begun is not None:
                    running.wait_for_program()
                    begun()
                if terminal is not None:
                    heard = partial(kept.add, Stream.STDOUT) if kept else None
                    if not relay(terminal, interactive=process.interactive, shown_on=shown_on, heard=heard):
                        running.kill()
                outcome = running.wait()
        return replace(outcome, touched=tuple(dict.fromkeys(prepared.touched)))

    def _open_door(self, door: str, admitted: Admission | None, opened: ExitStack) -> None:
        try:
            opened.enter_context(open_door(door, self._spawner, admitted))
        except OSError as error:  # not every file system has sockets
            self.warn_once(f"nobody can come in with exec: {door}: {error.strerror}")

    def warn_once(self, text: str) -> None:
        """Say what a user should know, once however many steps it concerns."""
        with self._lock:
            is_new = text not in self._warned
            self._warned.add(text)
        if is_new:
            self._warn(text)

    def stop(self) -> None:
        """See Executor."""
        with self._lock:
            self.stopped = True
            for running in self._running:
                running.kill()

    def resume(self) -> None:
        """See Executor."""
        with self._lock:
            self.stopped = False

    @contextmanager
    def started(self, spec: FirstSpec, stdin: int, stdout: int, stderr: int) -> Iterator[Running]:
        """Start what is ended with the block, and by ``stop()``; raise Interrupted where that was called already."""
        with self._lock:
            if self.stopped:
                raise Interrupted
            running = self._spawner.run(spec, stdin=stdin, stdout=stdout, stderr=stderr)
            self._running.add(running)
        try:
            yield running
        finally:
            with self._lock:
                self._running.discard(running)
            running.close()


class ChrootExecutor(SpawnedExecutor):
    """Runs processes in namespaces of their own; ``warn`` hears what a user should know, once."""

    def __init__(
        self, spawner: Spawner, identity: Identity, *, warn: Callable[[str], None] = lambda _text: None
    ) -> None:
        super().__init__(spawner, warn)
        self._identity = identity
        self._emulation = Emulation(self._attempt, warn)

    def expect(
        self, connection: Connection = Connection.MACHINE, shm_size: int | None = None, *, has_door: bool = False
    ) -> None:
        """See Executor."""
        self._spawner.expect(self._common_spec(connection, shm_size, has_door=has_door))

    @contextmanager
    def prepared(self, process: Process, root: RootTree, scratch: str) -> Iterator[Prepared]:
        """See SpawnedExecutor."""
        yield Prepared(self._spec(process, root, scratch))

    def _attempt(self, process: Process, root: RootTree, scratch: str, foreign: Foreign) -> int:
        """See emulation.Attempt."""
        spec = self._foreign_spec(process, root, scratch, foreign)
        return self.run_spec(spec, lambda *_: None).exit_status

    def _spec(self, process: Process, root: RootTree, scratch: str) -> StepSpec:
        return self._foreign_spec(process, root, scratch, self._emulation.way(process.platform, scratch))

    def _foreign_spec(self, process: Process, root: RootTree, scratch: str, foreign: Foreign | None) -> StepSpec:
        resolver_file = resolv_conf(process.connection)
        common = self._common_spec(
            process.connection, process.shm_size, has_door=process.door is not None, insecure=process.insecure
        )
        return common._replace(
            root=root._replace(devices=process.insecure),
            mounts=[
                *common.mounts,
                *network_files(scratch, process, resolver_file),
                *_emulator_mounts(foreign),
            ],
            args=list(process.args),
            env=list(process.env),
            user=process.user,
            working_dir=process.working_dir,
            hostname=process.hostname,
            pasta=_pasta(scratch, process, resolver_file) if process.connection is Connection.PASTA else None,
            own_mounts=self._owned(process.mounts),
            ulimits=process.ulimits,
            terminal=process.terminal,
            read_only=process.read_only,
            init=process.init,
            foreign=foreign,
        )

    def _common_spec(
        self, connection: Connection, shm_size: int | None, *, has_door: bool, insecure: bool = False
    ) -> StepSpec:
        """Return what all processes of a kind have in common."""
        has_one_id = self._identity.ids is IDs.ONE
        return StepSpec(
            root=Folder("/"),
            mounts=_system_mounts(writable=insecure, shm_size=shm_size),
            links=list(LINKS),
            args=[],
            env=[],
            user="",
            working_dir="/",
            hostname="",
            own_network=connection is not Connection.MACHINE,
            extra_groups=not has_one_id,
            insecure=insecure,
            lets_in=has_door,
            kept=has_one_id,
            supervised=has_one_id,
        )

    def _owned(self, mounts: Sequence[Mount]) -> Sequence[Mount]:
        """Let every secret belong to the one ID that there is, where there is one: it is that of every step."""
        if self._identity.ids is not IDs.ONE:
            return mounts
        return [mount._replace(uid=0, gid=0) if isinstance(mount, Secret) else mount for mount in mounts]


def _system_mounts(*, writable: bool, shm_size: int | None) -> list[Mount]:
    """Return /proc, /sys and /dev as docker gives them.

    The device nodes are the machine's own: a step may use them, but not change their modes or owners. ``writable``
    concerns /sys alone.
    """
    shm = "65536k" if shm_size is None else str(shm_size)
    return [
        FileSystem("tmpfs", "/dev", [("mode", "755"), ("size", "65536k")]),
        *(Bind(f"/dev/{name}", f"/dev/{name}", read_only=True) for name in DEVICES),
        FileSystem("devpts", "/dev/pts", [("newinstance", None), ("ptmxmode", "0666"), ("mode", "0620")], devices=True),
        FileSystem("tmpfs", "/dev/shm", [("mode", "1777"), ("size", shm)]),  # noqa: S108  (the step's, not ours)
        FileSystem("mqueue", "/dev/mqueue"),
        FileSystem("proc", "/proc"),
        Sysfs(writable=writable),
    ]


def _emulator_mounts(foreign: Foreign | None) -> list[Mount]:
    """Return the emulator, where it is to be put before a command of the step."""
    emulator = foreign.emulator if foreign else None
    return [Bind(emulator.source, emulator.path, read_only=True)] if emulator else []


def network_files(scratch: str, process: Process, resolver_file: bytes | None = None) -> list[Bind]:
    """Return /etc/hosts and /etc/resolv.conf: copies, which the step may write and nobody keeps.

    ``resolver_file`` is what ``resolv_conf()`` returned, for who has asked already.
    """
    hosts = os.path.join(scratch, "hosts")
    _write(hosts, hosts_file(process.hostname, process.extra_hosts, process.connection))
    resolv = os.path.join(scratch, "resolv.conf")
    _write(resolv, resolv_conf(process.connection) if resolver_file is None else resolver_file)
    files = ((hosts, "/etc/hosts"), (resolv, "/etc/resolv.conf"))
    return [Bind(path, target, read_only=process.read_only) for path, target in files]


def _pasta(scratch: str, process: Process, resolver_file: bytes) -> Pasta:
    """Return what connects the step; raise SandboxError where there is no pasta."""
    import shutil

    program = shutil.which("pasta")
    if program is None:
        raise SandboxError(
            "there is no pasta here to connect a step", remedy="install passt, or choose another --network"
        )
    network = os.path.join(scratch, "network")
    _write(network, b"")
    return Pasta(
        program,
        network,
        reaches_machine=any(host.address == HOST_GATEWAY for host in process.extra_hosts),
        resolves_names=asks_pasta(resolver_file),
    )


def _write(path: str, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with open(fd, "wb") as file:
        os.fchmod(fd, 0o644)  # whatever our umask: any user of the step reads it
        file.write(content)


def _pipe(cleanup: ExitStack, theirs: ExitStack) -> tuple[int, int]:
    read, write = os.pipe2(os.O_CLOEXEC)
    cleanup.callback(os.close, read)
    theirs.callback(os.close, write)
    return read, write


def _pump(streams: dict[int, Stream], output: Callable[[Stream, bytes], None]) -> None:
    """Give what arrives on each stream until all have ended: the kernel ends them with the step's first process."""
    poll = select.poll()
    for fd in streams:
        poll.register(fd, select.POLLIN)
    open_ends = len(streams)
    while open_ends:
        for fd, _ in poll.poll():
            piece = os.read(fd, _PIECE)
            if piece:
                output(streams[fd], piece)
            else:
                poll.unregister(fd)
                open_ends -= 1
