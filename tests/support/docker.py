"""Debian's docker engine with its files in a temporary folder, and the client that talks to it."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.peers import require_peer, require_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Docker:
    program: str
    socket: str

    def try_run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of docker, whatever becomes of it."""
        command = [self.program, "--host", self.socket, *words]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def __call__(self, *words: str) -> str:
        """Run a command of docker, which must succeed, and return its output."""
        result = self.try_run(*words)
        assert result.returncode == 0, f"docker {' '.join(words)}\n{result.stdout}{result.stderr}"
        return result.stdout.strip()


@contextmanager
def docker_engine(folder: Path) -> Iterator[Docker]:
    """Run dockerd, without a network of its own, until the block is left."""
    require_root()
    docker = Docker(require_peer("docker"), f"unix://{folder}/socket")
    # in a mount namespace of its own, so that what it mounts for containers does not outlive it
    command = [
        "setpriv", "--pdeathsig", "TERM", "unshare", "--mount",
        require_peer("dockerd"), "--iptables=false", "--ip6tables=false", "--bridge=none", "--host", docker.socket,
        "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec"), "--pidfile", str(folder / "pid"),
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_for(docker, process, folder / "log")
            yield docker
        finally:
            process.terminate()
            process.wait()


def _wait_for(docker: Docker, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if docker.try_run("version").returncode == 0:
            return
        time.sleep(0.2)
    raise AssertionError(f"dockerd did not start: {log.read_text(errors='replace')[-2000:]}")
