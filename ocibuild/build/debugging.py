"""A shell in what a failed step has left, on the terminal of the user."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from ocibuild.errors import SandboxError, StepFailed
from ocibuild.executor.terminal import users_terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from ocibuild.executor import Executor
    from ocibuild.solver.operations.aftermath import Aftermath

Hold: TypeAlias = "Callable[[], AbstractContextManager[None]]"


def open_shell(executor: Executor, hold: Hold, aftermath: Aftermath) -> None:
    """Let the user look at what a step has left, while ``hold`` keeps the progress from the terminal.

    For the main thread, once ``executor`` was stopped. Where no shell can be opened the user is told why.
    """
    terminal = users_terminal()
    if terminal is None:  # it was there when the build began
        return
    executor.resume()
    with hold():
        _say(terminal, _notice(aftermath))
        try:
            aftermath.open_shell(executor, terminal)
        except SandboxError as error:
            _say(terminal, f"no shell can be opened in the root file system of the step: {error}")


def _notice(aftermath: Aftermath) -> str:
    error, location = aftermath.error, aftermath.vertex.origin.location
    how = f"failed with exit code {error.exit_status}" if isinstance(error, StepFailed) else "could not be started"
    where = f"{location}: " if location else ""
    return (
        f"ocibuild: {where}the step {how}. This is a shell in its root file system: what is changed there is thrown "
        "away, `exit` or Ctrl-D ends it, and then the build fails."
    )


def _say(terminal: int, text: str) -> None:
    rest = f"{text}\n".encode(errors="replace")
    while rest:
        rest = rest[os.write(terminal, rest) :]
