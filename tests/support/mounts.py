"""A mount namespace for a peer, so that what it mounts is neither left behind nor seen by tests beside it."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.peers import require_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class OwnMounts:
    """A mount namespace that lasts as long as the process ``pid``."""

    pid: int

    def run(self, *words: str | Path, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in it, whatever becomes of it."""
        command = ["nsenter", f"--target={self.pid}", "--mount", *map(str, words)]
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, env=environ, capture_output=True, text=True, check=False
        )

    def path(self, path: str | Path) -> Path:
        """Return where what is at ``path`` in it is seen from outside."""
        return Path(f"/proc/{self.pid}/root{path}")


@contextmanager
def own_mounts() -> Iterator[OwnMounts]:
    """Yield a mount namespace, as root; with it goes what was mounted in it."""
    require_root()
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "sh", "-c", "echo; exec sleep infinity"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"\n"
            yield OwnMounts(process.pid)
        finally:
            process.kill()
