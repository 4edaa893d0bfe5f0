"""A docker engine of one's own, beside the one that takes part."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.measure import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.peers import Peers

_START_SECONDS = 30
_END_SECONDS = 60
_ALONE = ("--iptables=false", "--ip6tables=false", "--bridge=none")


@contextmanager
def engine(peers: Peers, folder: str) -> Iterator[str]:
    """Run an engine with containerd's image store, all that it has in ``folder``; give its DOCKER_HOST.

    Raises CommandFailed.
    """
    host = f"unix://{folder}/socket"
    where = (f"--data-root={folder}/content", f"--exec-root={folder}/runtime", f"--pidfile={folder}/pid")
    command = ("dockerd", *_ALONE, "--feature", "containerd-snapshotter=true", f"--host={host}", *where)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "log"), "wb") as log:
        process = subprocess.Popen((*peers.prefix, *command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
    try:
        _wait_for(peers, host, process)
        yield host
    finally:
        process.terminate()
        _end(process)


def _wait_for(peers: Peers, host: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if peers.ask("docker", "--host", host, "info", "--format", "{{.ID}}"):
            return
        time.sleep(0.1)
    raise CommandFailed("a second docker engine, which is to fill the cache, does not start")


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
