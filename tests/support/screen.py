"""ocibuild on a real terminal, as a user has it: what is shown there, and what is typed."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import termios
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.support.program import Program

_SECONDS = 30


@dataclass(slots=True)
class Screen:
    """The other end of the terminal that ocibuild runs on, and what was shown there."""

    fd: int
    process: subprocess.Popen[bytes]
    shown: str = ""

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def until(self, pattern: str, *, seconds: float = _SECONDS) -> re.Match[str]:
        """Wait for a pattern in what is shown, and forget all up to its end."""
        until = time.monotonic() + seconds
        while not (found := re.search(pattern, self.shown)):
            assert time.monotonic() < until, f"no {pattern!r} in {self.shown!r}"
            self._read(0.2)
        self.shown = self.shown[found.end() :]
        return found

    def ended(self) -> int:
        """Wait for the end; return the exit status."""
        until = time.monotonic() + _SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < until, f"it does not end: {self.shown!r}"
            self._read(0.05)
        while self._read(0):
            pass
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            self.shown += os.read(self.fd, 4096).decode()
        except OSError:  # the other end is closed
            return False
        return True

    def quiet(self, seconds: float) -> bool:
        """Tell whether nothing is shown for so long."""
        return not self._read(seconds)

    @property
    def settings(self) -> list[object]:
        return termios.tcgetattr(self.fd)


@contextmanager
def on_a_terminal(
    program: Program,
    *words: str | Path,
    rows: int = 30,
    columns: int = 90,
    before: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Iterator[Screen]:
    """Start ocibuild as a shell on a terminal does: it leads a session with that terminal.

    ``before`` are the words of a program that becomes ocibuild.
    """
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (rows, columns))
    process = subprocess.Popen(
        ["setsid", "--ctty", *before, "ocibuild", *(str(word) for word in words)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        **program.user._settings(None, environ),
    )
    os.close(theirs)
    screen = Screen(ours, process)
    try:
        yield screen
    finally:
        with suppress(OSError):  # a test may have closed it
            os.close(ours)
        process.kill()
        process.wait()
