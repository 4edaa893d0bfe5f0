"""Other people's tools, that the tests compare with."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_START_SECONDS = 20


# Where programs are that are not on the PATH of every user.
_FURTHER_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/lib/podman:/usr/libexec/podman"


@dataclass(frozen=True, slots=True)
class Peer:
    """A program, the Debian package that has it, and what the tests use it for."""

    program: str
    package: str
    purpose: str


PEERS = (
    Peer("docker-registry", "docker-registry", "pulling from a real registry and pushing to it"),
    Peer("skopeo", "skopeo", "reading and copying what ocibuild wrote"),
    Peer("umoci", "umoci", "unpacking what ocibuild wrote"),
    Peer("buildah", "buildah", "building the same Dockerfile and comparing each file"),
    Peer("podman", "podman", "loading and running what ocibuild built"),
    Peer("netavark", "netavark", "podman's network"),
    Peer("dockerd", "docker.io", "pulling and running with docker what ocibuild built"),
    Peer("busybox", "busybox-static", "a small base image"),
    Peer("mmdebstrap", "mmdebstrap", "a Debian base image, and the docker that is newer than this machine's"),
    Peer("perl", "perl-base", "making system calls in a step"),
    Peer("qemu-aarch64-static", "qemu-user-static", "images for other processors, a Debian for arm64 first"),
    Peer("strace", "strace", "counting the system calls of a build"),
    Peer("git", "git", "a repository that ADD clones"),
    Peer("pasta", "passt", "steps with a network of their own"),
    Peer("newuidmap", "uidmap", "an ordinary user with a range of subordinate IDs"),
    Peer("proot", "proot", "running steps where nothing else is allowed"),
    Peer("bsdtar", "libarchive-tools", "tars by another hand"),
    Peer("bzip2", "bzip2", "archives that ADD unpacks"),
    Peer("xz", "xz-utils", "archives that ADD unpacks"),
    Peer("openssl", "openssl", "a registry behind TLS"),
    Peer("htpasswd", "apache2-utils", "a registry with passwords"),
)


def find_peer(name: str) -> str | None:
    """Return the path of the program, None where this machine does not have it."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_FURTHER_FOLDERS}")


def missing_peers() -> list[Peer]:
    """Return the peers that this machine does not have."""
    return [peer for peer in PEERS if find_peer(peer.program) is None]


def require_peer(name: str) -> str:
    """Return the path of the program, or skip the test, saying which peer is left out."""
    path = find_peer(name)
    if path is None:
        pytest.skip(f"peer left out: {name}")
    return path


def require_library(name: str) -> Any:
    """Return a shared library, or skip the test, saying which is left out; docker's packages bring it."""
    try:
        return ctypes.CDLL(name)
    except OSError:
        pytest.skip(f"peer left out: {name}")


def require_root() -> None:
    """Skip the test where it does not run as root."""
    if os.geteuid() != 0:
        pytest.skip("left out: only root can do this")


@contextmanager
def docker_registry(tmp_path: Path, settings: str = "") -> Iterator[str]:
    """Run Debian's registry on loopback, its files in ``tmp_path``; the value is its address, ``127.0.0.1:PORT``.

    ``settings`` are further lines of its configuration: first those of ``http``, indented, then others.
    """
    program = require_peer("docker-registry")
    address = f"127.0.0.1:{free_port()}"
    folder = tmp_path / "docker-registry"
    folder.mkdir()
    config = folder / "config.yml"
    config.write_text(_config(address, folder / "files") + settings)
    # it takes variables of this prefix for its configuration
    environ = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    environ["OTEL_TRACES_EXPORTER"] = "none"
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
