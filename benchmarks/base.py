"""The base image that everything is built on: a Debian tree from mmdebstrap as one gzip layer of about 75 MB."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import platform
import shutil
import subprocess
import tarfile
from contextlib import closing
from http.client import HTTPConnection
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PACKAGES = ("ca-certificates", "perl", "python3")
_SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")
_LEVEL = 6
_CREATED = "2024-01-01T00:00:00Z"
_PIECE = 1 << 20
_NAME = "debian"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def cached_layer(suite: str = "bookworm") -> str:
    """Return the path of the layer's gzip file; it is made once a machine, in about a minute."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(cache, "ocibuild-benchmarks")
    path = os.path.join(folder, f"{suite}-{'-'.join(PACKAGES)}.tar.gz")
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        _make_tree(f"{path}.tar", suite)
        _compress(f"{path}.tar", f"{path}.part")
        os.rename(f"{path}.part", path)
        os.unlink(f"{path}.tar")
    return path


def _make_tree(tar: str, suite: str) -> None:
    if shutil.which("mmdebstrap") is None:
        raise SystemExit("the benchmark needs mmdebstrap (a package of Debian) to make its base image")
    sources = next((path for path in _SOURCES if os.path.exists(path)), None)
    packages = ",".join(PACKAGES)
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", "--format=tar", suite, tar]
    subprocess.run([*command, *([sources] if sources else [])], check=True, stdin=subprocess.DEVNULL)


def _compress(source: str, target: str) -> None:
    with (
        open(source, "rb") as plain,
        open(target, "wb") as raw,
        gzip.GzipFile("", "wb", _LEVEL, fileobj=raw, mtime=0) as packed,
    ):
        shutil.copyfileobj(plain, packed, _PIECE)


class Base:
    """The base image in the plain HTTP registry at ``address``, in any number of variants that nobody saw before.

    Who is to pull anew is given a new variant, for a store cannot be emptied without a trace: ext4 looks at every
    inode that was deleted in the last minutes before it gives a new one away, which costs the next to unpack seconds.
    A variant has one small file more, in a first member of the gzip file.
    """

    def __init__(self, address: str, layer: str) -> None:
        self._address = address
        self._layer = layer

    def push(self, tag: str) -> str:
        """Push the variant of this name, and return its reference."""
        first = _entry(f"variant-{tag}", tag.encode())
        head = gzip.compress(first, mtime=0)
        size = len(head) + os.path.getsize(self._layer)
        with open(self._layer, "rb") as packed, gzip.open(self._layer) as plain:
            digest, diff_id = _digest(head, packed), _digest(first, plain)
        config = _config(diff_id)
        with open(self._layer, "rb") as packed:
            self._put_blob(digest, chain([head], iter(lambda: packed.read(_PIECE), b"")), size)
        self._put_blob(_digest(config), [config], len(config))
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": {"mediaType": _CONFIG, "digest": _digest(config), "size": len(config)},
                "layers": [{"mediaType": _LAYER, "digest": digest, "size": size}],
            }
        )
        headers = {"Content-Type": _MANIFEST, "Content-Length": str(len(manifest))}
        self._ask("PUT", f"/v2/{_NAME}/manifests/{tag}", [manifest], headers)
        return f"{self._address}/{_NAME}:{tag}"

    def _put_blob(self, digest: str, body: Iterable[bytes], size: int) -> None:
        upload = self._ask("POST", f"/v2/{_NAME}/blobs/uploads/", [], {"Content-Length": "0"})
        location = upload.partition(self._address)[2] if "://" in upload else upload
        target = f"{location}{'&' if '?' in location else '?'}digest={digest}"
        self._ask("PUT", target, body, {"Content-Length": str(size), "Content-Type": "application/octet-stream"})

    def _ask(self, method: str, path: str, body: Iterable[bytes], headers: Mapping[str, str]) -> str:
        """Send one request that must succeed, and return the Location of the answer."""
        with closing(HTTPConnection(self._address, timeout=60)) as connection:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            text = response.read()
            if response.status not in (201, 202):
                raise RuntimeError(f"{method} {path}: {response.status} {text[:200]!r}")
            return response.headers["Location"] or ""


def _entry(name: str, data: bytes) -> bytes:
    """Return a file as an entry of a tar."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info.tobuf() + data.ljust(tarfile.BLOCKSIZE, b"\0")


def _config(diff_id: str) -> bytes:
    return _json(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["bash"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            "created": _CREATED,
            "history": [{"created": _CREATED, "created_by": "mmdebstrap"}],  # buildah caches nothing without it
        }
    )


def _digest(data: bytes, rest: Any = None) -> str:
    """Return the digest of ``data`` and what can be read from the file ``rest`` after it."""
    hasher = hashlib.sha256(data)
    while rest and (piece := rest.read(_PIECE)):
        hasher.update(piece)
    return f"sha256:{hasher.hexdigest()}"


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
