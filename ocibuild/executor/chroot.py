"""The ``chroot`` executor: a process in namespaces of its own, with the machine's network unless it wants another."""

from __future__ import annotations

import os
import select
import shutil
import signal
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from ocibuild.errors import Interrupted, SandboxError
from ocibuild.executor.netfiles import asks_pasta, hosts_file, resolv_conf
from ocibuild.executor.process import Connection
from ocibuild.executor.terminal import relay
from ocibuild.graph import HOST_GATEWAY, Stream
from ocibuild.sandbox import Bind, FileSystem, IDs, Pasta, Secret, StepSpec, Sysfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ocibuild.executor.process import Process
    from ocibuild.sandbox import Identity, Mount, Outcome, RootTree, Running, Spawner

_PIECE = 64 << 10
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("/proc/kcore", "/dev/core"),
    ("pts/ptmx", "/dev/ptmx"),
)


class ChrootExecutor:
    """Runs processes through the spawner, from any thread."""

    def __init__(self, spawner: Spawner, identity: Identity) -> None:
        self._spawner = spawner
        self._identity = identity
        self._lock = threading.Lock()  # guards the two below
        self._running: set[Running] = set()
        self._stopped = False

    def run(
        self, process: Process, root: RootTree, scratch: str, *, output: Callable[[Stream, bytes], None]
    ) -> Outcome:
        """See Executor."""
        spec = self._spec(process, root, scratch)
        with ExitStack() as cleanup:
            null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            cleanup.callback(os.close, null)
            with ExitStack() as theirs:
                ends = [_pipe(cleanup, theirs) for _ in Stream]
                running = self._start(spec, null, ends[0][1], ends[1][1])
                cleanup.callback(self._forget, running)
            _pump({ends[0][0]: Stream.STDOUT, ends[1][0]: Stream.STDERR}, output)
            outcome = running.wait()
        if self._stopped:  # its status says only that it was killed
            raise Interrupted
        return outcome

    def run_attached(self, process: Process, root: RootTree, scratch: str) -> Outcome:
        """See Executor."""
        spec = self._spec(process, root, scratch)
        with ExitStack() as cleanup:
            null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
            cleanup.callback(os.close, null)
            stdin = 0 if process.interactive else null
            # a step with a terminal opens that itself
            running = self._start(spec, *((null, null, null) if process.terminal else (stdin, 1, 2)))
            cleanup.callback(self._forget, running)
            with _forwarded_to(running):
                if process.terminal and not relay(running.terminal(), interactive=process.interactive):
                    running.kill()
                return running.wait()

    def stop(self) -> None:
        """See Executor."""
        with self._lock:
            self._stopped = True
            for running in self._running:
                running.kill()

    def _start(self, spec: StepSpec, stdin: int, stdout: int, stderr: int) -> Running:
        with self._lock:
            if self._stopped:
                raise Interrupted
            running = self._spawner.run(spec, stdin=stdin, stdout=stdout, stderr=stderr)
            self._running.add(running)
            return running

    def _forget(self, running: Running) -> None:
        with self._lock:
            self._running.discard(running)
        running.close()

    def _spec(self, process: Process, root: RootTree, scratch: str) -> StepSpec:
        mount_point = os.path.join(scratch, "root")
        os.mkdir(mount_point)
        return StepSpec(
            root=root._replace(devices=process.insecure),
            mount_point=mount_point,
            mounts=[
                *_system_mounts(writable=process.insecure, shm_size=process.shm_size),
                *_network_files(scratch, process),
            ],
            links=list(_LINKS),
            args=list(process.args),
            env=list(process.env),
            user=process.user,
            working_dir=process.working_dir,
            hostname=process.hostname,
            own_network=process.connection is not Connection.MACHINE,
            pasta=_pasta(scratch, process) if process.connection is Connection.PASTA else None,
            extra_groups=self._identity.ids is not IDs.ONE,
            own_mounts=self._owned(process.mounts),
            insecure=process.insecure,
            ulimits=process.ulimits,
            terminal=process.terminal,
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
        *(Bind(f"/dev/{name}", f"/dev/{name}", read_only=True) for name in _DEVICES),
        FileSystem("devpts", "/dev/pts", [("newinstance", None), ("ptmxmode", "0666"), ("mode", "0620")], devices=True),
        FileSystem("tmpfs", "/dev/shm", [("mode", "1777"), ("size", shm)]),  # noqa: S108  (the step's, not ours)
        FileSystem("mqueue", "/dev/mqueue"),
        FileSystem("proc", "/proc"),
        Sysfs(writable=writable),
    ]


def _network_files(scratch: str, process: Process) -> list[Mount]:
    """Return /etc/hosts and /etc/resolv.conf: copies, which the step may write and nobody keeps."""
    hosts = os.path.join(scratch, "hosts")
    _write(hosts, hosts_file(process.hostname, process.extra_hosts, process.connection))
    resolv = os.path.join(scratch, "resolv.conf")
    _write(resolv, resolv_conf(process.connection))
    return [Bind(hosts, "/etc/hosts"), Bind(resolv, "/etc/resolv.conf")]


def _pasta(scratch: str, process: Process) -> Pasta:
    """Return what connects the step; raise SandboxError where there is no pasta."""
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
        resolves_names=asks_pasta(resolv_conf(process.connection)),
    )


def _write(path: str, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with open(fd, "wb") as file:
        os.fchmod(fd, 0o644)  # whatever our umask: any user of the step reads it
        file.write(content)


@contextmanager
def _forwarded_to(running: Running) -> Iterator[None]:
    """Give the signals that mean to end this process to the one that runs."""
    sent: list[int] = []

    def forward(number: int, _frame: object) -> None:
        sent.append(number)  # first: the next signal may come while this one is handled
        running.kill() if len(sent) > 1 else running.signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
