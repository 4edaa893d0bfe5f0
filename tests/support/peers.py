"""Other people's tools, that the tests compare with."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_START_SECONDS = 20


def require_peer(name: str) -> str:
    """Return the path of the program, or skip the test, saying which peer is left out."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"peer left out: {name}")
    return path


@contextmanager
def docker_registry(tmp_path: Path) -> Iterator[str]:
    """Run Debian's registry on loopback, its files in ``tmp_path``; the value is its address, ``127.0.0.1:PORT``."""
    program = require_peer("docker-registry")
    address = f"127.0.0.1:{free_port()}"
    folder = tmp_path / "docker-registry"
    folder.mkdir()
    config = folder / "config.yml"
    config.write_text(_config(address, folder / "files"))
    environ = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log, env=environ)
        try:
            _wait_for(address, process, folder / "log")
            yield address
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    """Return a port of loopback that nobody uses at the moment."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _config(address: str, files: Path) -> str:
    return f"""\
version: 0.1
log:
  level: warn
storage:
  filesystem:
    rootdirectory: {files}
  delete:
    enabled: true
http:
  addr: {address}
"""


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    host, _, port = address.partition(":")
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with closing(socket.socket()) as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"docker-registry did not start: {log.read_text(errors='replace')[-500:]}")
