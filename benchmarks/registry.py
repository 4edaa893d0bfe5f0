"""A registry on loopback over plain HTTP: Debian's docker-registry, or the one of the demo where that is missing."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from benchmarks.machine import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PROGRAM = "docker-registry"
_START_SECONDS = 30
_SETTLE_SECONDS = 0.2
_REQUEST = re.compile(r'"(?P<method>[A-Z]+) (?P<target>\S+) HTTP/[0-9.]+" (?P<status>[0-9]{3}) (?P<size>[0-9]+)')
_MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
_BLOB = re.compile(r"/v2/.+/blobs/(sha256:[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Request:
    """A line of the access log; ``size`` is what the body of the answer has, in bytes."""

    method: str
    target: str
    status: int
    size: int


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry that runs; only docker-registry has an access log, and files that may be removed."""

    address: str
    name: str
    folder: str

    def mark(self) -> int:
        """Return where the log ends now."""
        time.sleep(_SETTLE_SECONDS)  # a request is logged after it was answered
        return os.path.getsize(os.path.join(self.folder, "log"))

    def fetched(self, mark: int) -> Counter[str]:
        """Return how many bytes of each blob were sent to clients since the mark."""
        sizes: Counter[str] = Counter()
        for request in self._requests(mark):
            if request.method == "GET" and (blob := _BLOB.fullmatch(urlsplit(request.target).path)):
                sizes[blob[1]] += request.size
        return sizes

    def uploaded(self, mark: int) -> Counter[str]:
        """Return how often each blob was sent to the registry since the mark."""
        queries = (
            parse_qs(urlsplit(request.target).query)
            for request in self._requests(mark)
            if request.method in ("PUT", "POST") and request.status == 201 and "/blobs/uploads/" in request.target
        )
        return Counter(digest for query in queries for digest in query.get("digest", ()))  # a mount has none

    def layers(self, repository: str, tag: str) -> dict[str, int]:
        """Return digests and sizes of the layers of an image for one platform, the lowest first.

        Raises LookupError where it is not there.
        """
        with closing(HTTPConnection(self.address, timeout=_START_SECONDS)) as connection:
            connection.request("GET", f"/v2/{repository}/manifests/{tag}", headers={"Accept": _MANIFESTS})
            response = connection.getresponse()
            body = response.read()
        if response.status != 200:
            raise LookupError(f"no {repository}:{tag} in the registry")
        return {layer["digest"]: layer["size"] for layer in json.loads(body)["layers"]}

    def remove(self, digests: Iterable[str]) -> None:
        """Remove the blobs; what names them is left."""
        for digest in digests:
            name = digest.removeprefix("sha256:")
            remove_tree(os.path.join(self._files, "blobs", "sha256", name[:2], name))

    def wipe(self) -> None:
        """Remove all that the registry keeps."""
        remove_tree(self._files)

    @property
    def _files(self) -> str:
        return os.path.join(self.folder, "files", "docker", "registry", "v2")

    def _requests(self, mark: int) -> list[Request]:
        end = self.mark()
        with open(os.path.join(self.folder, "log"), "rb") as log:
            log.seek(mark)
            found = _REQUEST.finditer(log.read(end - mark).decode("utf-8", "replace"))
        return [Request(one["method"], one["target"], int(one["status"]), int(one["size"])) for one in found]


@contextmanager
def registry(folder: str) -> Iterator[Registry]:
    """Run a registry that keeps its files in ``folder``."""
    port = _free_port()
    address = f"127.0.0.1:{port}"
    program = shutil.which(PROGRAM)
    command = [program, "serve", _write_config(folder, address)] if program else _demo(folder, port)
    environ = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    with open(os.path.join(folder, "log"), "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ)
    try:
        _wait_for(port, process)
        yield Registry(address, _name(program), folder)
    finally:
        process.terminate()
        process.wait()


def _demo(folder: str, port: int) -> list[str]:
    return [sys.executable, "-m", "demo.registry", "--port", str(port), "--root", os.path.join(folder, "files")]


def _name(program: str | None) -> str:
    if program is None:
        return "demo.registry"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return f"{PROGRAM} {said.stdout.split()[-1] if said.stdout.split() else ''}".strip()


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
