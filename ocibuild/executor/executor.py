"""What every executor does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ocibuild.executor.process import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.executor.process import Process
    from ocibuild.graph import Stream
    from ocibuild.sandbox import Outcome, RootTree


class Executor(Protocol):
    """Runs processes in root file systems, from any thread."""

    def expect(
        self, connection: Connection = Connection.MACHINE, shm_size: int | None = None, *, has_door: bool = False
    ) -> None:
        """Have ready what a process can have before it is known; it has these, and ``has_door`` is whether a door."""

    def run(
        self, process: Process, root: RootTree, scratch: str, *, output: Callable[[Stream, bytes], None]
    ) -> Outcome:
        """Run a process to its end, with no input, giving its output in pieces as they come.

        ``scratch`` is an empty directory of ours for what is mounted. Raises SandboxError where the process cannot be
        started; its status is the caller's to judge.
        """

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
        """Run a process to its end with the standard streams of this one; for the main thread.

        Where it is to have a terminal, that is shown on the stream ``shown_on``. What it writes is kept in the file
        ``log``, too, where there is one. ``begun`` hears when it is its program, of one that runs in the background.
        Signals are its process's meanwhile: see ``signals.forwarded_to()``.
        """

    def stop(self) -> None:
        """End all that runs, and start nothing more until ``resume()``; from any thread."""

    def resume(self) -> None:
        """Start things again, once nothing runs any more."""
