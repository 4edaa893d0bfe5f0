"""A registry on loopback over plain HTTP: Debian's docker-registry, or the one of the demo where that is missing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_SECONDS = 30


@contextmanager
def registry(folder: str) -> Iterator[tuple[str, str]]:
    """Run a registry that keeps its files in ``folder``; the value is its address and what it is."""
    port = _free_port()
    address = f"127.0.0.1:{port}"
    program = shutil.which("docker-registry")
    command = [program, "serve", _write_config(folder, address)] if program else _demo(folder, port)
    environ = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    with open(os.path.join(folder, "log"), "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ)
    try:
        _wait_for(port, process)
        yield address, _name(program)
    finally:
        process.terminate()
        process.wait()


def _demo(folder: str, port: int) -> list[str]:
    return [sys.executable, "-m", "demo.registry", "--port", str(port), "--root", os.path.join(folder, "files")]


def _name(program: str | None) -> str:
    if program is None:
        return "demo.registry"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return f"docker-registry {said.stdout.split()[-1] if said.stdout.split() else ''}".strip()


def _write_config(folder: str, address: str) -> str:
    path = os.path.join(folder, "config.yml")
    files = os.path.join(folder, "files")
    with open(path, "w", encoding="utf-8") as file:
        file.write(
            f"version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {files}\n"
            f"http:\n  addr: {address}\n"
        )
    return path


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the registry did not start")


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
