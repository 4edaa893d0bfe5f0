"""Where the peers' programs are: behind the script that PEERS_SH names, else on PATH.

The script is called as ``SCRIPT run PROGRAM ARGUMENT…``, which runs a peer, and ``SCRIPT dockerd``, which starts an
engine of its own and prints ``DOCKER_HOST=…``. To start it anew for each command would cost the peers time, so its
mount namespace is entered once and joined after that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.machine import User

_START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Peers:
    """A way to run peers: what goes before each command, and DOCKER_HOST, None where docker's own default holds.

    The engine may be emptied without asking where it ``is_ours``.
    """

    prefix: tuple[str, ...]
    docker_host: str | None
    is_ours: bool

    def has(self, program: str) -> bool:
        """Tell whether the program is there."""
        if not self.prefix:
            return shutil.which(program) is not None
        return self.ask("sh", "-c", f"command -v {program}") != ""

    def ask(self, *argv: str, env: Mapping[str, str] | None = None) -> str:
        """Return what a peer prints, stripped; empty where it fails."""
        return output_of((*self.prefix, *argv), env)

    def add_user(self, user: User) -> None:
        """Make the user known where the peers are, with a range of subordinate IDs."""
        if self.prefix:
            self.ask("sh", "-c", f"id -u {user.name} || useradd --uid {user.uid} {user.name}")


def output_of(argv: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """Return what a command prints, stripped; empty where it fails."""
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, cwd="/")
    return done.stdout.strip() if done.returncode == 0 else ""


@contextmanager
def find_peers() -> Iterator[Peers]:
    """Give a way to run peers, for as long as the block lasts; an engine that was started stays."""
    script = os.environ.get("PEERS_SH")
    if not script or os.geteuid() != 0:
        yield Peers((), os.environ.get("DOCKER_HOST"), is_ours=False)
        return
    said = subprocess.run([script, "dockerd"], capture_output=True, text=True, check=True).stdout
    holder = subprocess.Popen([script, "run", "sleep", "infinity"], stdin=subprocess.DEVNULL)
    try:
        _wait_until_inside(holder.pid)
        yield Peers(("nsenter", f"--target={holder.pid}", "--mount"), said.strip().partition("=")[2], is_ours=True)
    finally:
        holder.kill()
        holder.wait()


def _wait_until_inside(pid: int) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            if file.read().strip() == "sleep":
                return
        time.sleep(0.02)
    raise RuntimeError("the script of the peers does not run a command")
