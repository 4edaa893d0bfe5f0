"""Which way this machine runs the programs of another platform: found out by running one, when it is first asked."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Protocol

from ocibuild.errors import SandboxError
from ocibuild.executor.process import Process
from ocibuild.oci import Platform
from ocibuild.sandbox import Folder, Foreign

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.sandbox import RootTree


class Attempt(Protocol):
    """Runs a process in one way."""

    def __call__(self, process: Process, root: RootTree, scratch: str, foreign: Foreign, /) -> int:
        """Return its exit status; raise SandboxError where it cannot be run in that way."""


class Emulation:
    """Finds the way for each architecture, once; from any thread."""

    def __init__(self, attempt: Attempt, warn: Callable[[str], None]) -> None:
        self._attempt = attempt
        self._warn = warn
        self._host = Platform.host()
        self._lock = threading.Lock()  # guards the one below
        self._known: dict[str, Foreign] = {}

    def way(self, platform: Platform | None, scratch: str) -> Foreign | None:
        """Return how programs of ``platform`` are run, None where that is nothing special.

        ``scratch`` is a directory of ours for what is tried.
        """
        wanted = self._host if platform is None else platform.normalized()
        if wanted.architecture == self._host.architecture:
            return None
        with self._lock:
            if wanted.architecture not in self._known:
                self._known[wanted.architecture] = self._find(wanted, scratch)
            return self._known[wanted.architecture]._replace(platform=str(wanted))

    def _find(self, platform: Platform, scratch: str) -> Foreign:
        from ocibuild.executor.foreign import find_emulator, ways

        emulator = find_emulator(platform, os.get_exec_path())
        for number, way in enumerate(ways(platform, self._host, emulator)):
            if self._works(platform, way, os.path.join(scratch, f"foreign-{number}")):
                if way.emulator is not None:
                    self._warn(_limits(platform))
                return way
        return Foreign(str(platform), works=False)

    def _works(self, platform: Platform, way: Foreign, scratch: str) -> bool:
        """Tell whether a program of the platform gets its arguments, and gives its exit status."""
        from ocibuild.executor.elf import PROCESSORS, counting_program

        tree = os.path.join(scratch, "tree")
        os.makedirs(tree)
        with open(os.path.join(tree, "count"), "wb") as file:
            file.write(counting_program(PROCESSORS[platform.architecture]))
            os.fchmod(file.fileno(), 0o755)
        process = Process(args=("/count", "second", "third"), env=())
        try:
            return self._attempt(process, Folder(tree), scratch, way) == len(process.args)
        except SandboxError:
            return False


def _limits(platform: Platform) -> str:
    return (
        f"{platform}: qemu runs the first program of each step only, not what that starts; all of them run with "
        "Linux 6.7 or newer, or with qemu registered in the machine's binfmt_misc (flag F)"
    )
