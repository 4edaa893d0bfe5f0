"""Executors without namespaces, tried on a tree that is a folder."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import SandboxError
from ocibuild.executor import Connection, Process
from ocibuild.executor.bare import BareExecutor
from ocibuild.executor.chroot import SpawnedExecutor
from ocibuild.executor.proot import ProotExecutor
from ocibuild.graph import HOST_GATEWAY, ExtraHost, Stream, Ulimit
from ocibuild.sandbox import Folder, Spawner
from tests.support.lab import Ended, busybox
from tests.support.peers import require_peer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ocibuild.executor import Executor
    from ocibuild.sandbox import Mount, Outcome, RootTree


class Bench:
    """A tree with busybox in it, and steps run there."""

    def __init__(self, folder: Path, make: Callable[[Spawner, Callable[[str], None]], Executor]) -> None:
        self.folder = folder
        self.tree = folder / "tree"
        self.tree.mkdir()
        busybox(self.tree)
        self.warnings: list[str] = []
        self.outcome: Outcome | None = None
        self.executor = make(Spawner.start(namespaced=False), self.warnings.append)

    def sh(self, script: str, *mounts: Mount, **settings: object) -> Ended:
        """Run a script as a step."""
        return self.run("/bin/sh", "-c", script, mounts=mounts, **settings)

    def run(self, *args: str, **settings: object) -> Ended:
        """Run a program as a step."""
        scratch = self._new_scratch()
        pieces: dict[Stream, bytes] = dict.fromkeys(Stream, b"")

        def output(stream: Stream, piece: bytes) -> None:
            pieces[stream] += piece

        outcome = self.executor.run(_process(args, settings), Folder(str(self.tree)), scratch, output=output)
        self.outcome = outcome
        out, err = (pieces[stream].decode() for stream in Stream)
        return Ended(outcome.exit_status, out, err, outcome.created)

    def on_terminal(self, script: str, **settings: object) -> tuple[str, int]:
        """Run a script on a terminal of its own; return what it shows there and its status."""
        process = _process(("/bin/sh", "-c", script), {**settings, "terminal": True})
        assert isinstance(self.executor, SpawnedExecutor)
        return on_terminal(self.executor, process, Folder(str(self.tree)), self._new_scratch())

    def _new_scratch(self) -> str:
        scratch = self.folder / f"scratch-{len(os.listdir(self.folder))}"
        scratch.mkdir()
        return str(scratch)

    @property
    def touched(self) -> set[str]:
        """What the last step says that it touched."""
        return set(self.outcome.touched) if self.outcome else set()

    def look(self) -> dict[str, tuple[int, ...]]:
        """Return what there is in the tree, with all that a layer would hold."""
        found: dict[str, tuple[int, ...]] = {}
        for path in sorted(self.tree.rglob("*")):
            status = path.lstat()
            size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
            ids = (status.st_ino, status.st_mode, status.st_uid, status.st_gid)
            found[str(path.relative_to(self.tree))] = (*ids, size, status.st_mtime_ns)
        return found


def on_terminal(executor: SpawnedExecutor, process: Process, root: RootTree, scratch: str) -> tuple[str, int]:
    """Run a process that has a terminal; return what it shows there and its status."""
    with executor.prepared(process, root, scratch) as prepared:
        null = os.open("/dev/null", os.O_RDWR)
        with executor.started(prepared.spec, null, null, null) as running:
            terminal = running.terminal()
            shown = b""
            with suppress(OSError):  # EIO, where nobody has it any more
                while piece := os.read(terminal, 4096):
                    shown += piece
            outcome = running.wait()
    return shown.decode(), outcome.exit_status


def _process(args: tuple[str, ...], settings: dict[str, object]) -> Process:
    return Process(args=args, **{"env": ("PATH=/bin",), **settings})  # type: ignore[arg-type]


def bare(spawner: Spawner, warn: Callable[[str], None]) -> Executor:
    """Make a bare executor."""
    return BareExecutor(spawner, warn)


def under_proot(spawner: Spawner, warn: Callable[[str], None]) -> Executor:
    """Make one that uses proot."""
    return ProotExecutor(spawner, require_peer("proot"), warn)


def check_what_is_given(bench: Bench) -> None:
    """Check that a step has the hosts, the limits and the terminal that it is given."""
    given = bench.sh(
        "tail -n 1 /etc/hosts; ulimit -n; ulimit -Hn",
        extra_hosts=(ExtraHost("machine", HOST_GATEWAY),),
        ulimits=(Ulimit("nofile", 60, 61),),
    )
    assert given.out == "127.0.0.1\tmachine\n60\n61\n"
    script = "test -t 0 && test -t 1 && test -t 2 && echo here >/dev/tty; exit 3"
    assert bench.on_terminal(script) == ("here\r\n", 3)


def check_what_is_refused(bench: Bench) -> None:
    """Check that what only namespaces can offer is refused by the name of the option."""
    for settings, option in (
        ({"connection": Connection.NONE}, "--network=none"),
        ({"connection": Connection.PASTA}, "--network=pasta"),
        ({"shm_size": 1 << 20}, "--shm-size"),
    ):
        with pytest.raises(SandboxError, match=option):
            bench.sh("true", **settings)
