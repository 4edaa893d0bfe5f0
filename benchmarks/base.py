"""The base image that everything is built on: a Debian tree from mmdebstrap as one gzip layer of about 75 MB."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import platform
import shutil
import subprocess
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

PACKAGES = ("ca-certificates", "perl", "python3")
_SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")
_LEVEL = 6
_CREATED = "2024-01-01T00:00:00Z"
_PIECE = 1 << 20
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


def push_base(address: str, name: str, layer: str) -> str:
    """Push the layer as the image ``name:latest`` to the plain HTTP registry at ``address``; return its reference."""
    with open(layer, "rb") as packed, gzip.open(layer) as plain:
        diff_id, digest = _digest(plain), _digest(packed)
    config = _json(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["bash"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            "created": _CREATED,
            "history": [{"created": _CREATED, "created_by": "mmdebstrap"}],  # buildah caches nothing without it
        }
    )
    config_digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": config_digest, "size": len(config)},
        "layers": [{"mediaType": _LAYER, "digest": digest, "size": os.path.getsize(layer)}],
    }
    with open(layer, "rb") as packed:
        _put_blob(address, name, digest, packed, os.path.getsize(layer))
    _put_blob(address, name, config_digest, config, len(config))
    _ask(address, "PUT", f"/v2/{name}/manifests/latest", _json(manifest), {"Content-Type": _MANIFEST})
    return f"{address}/{name}:latest"


def _put_blob(address: str, name: str, digest: str, body: bytes | BinaryIO, size: int) -> None:
    upload = _ask(address, "POST", f"/v2/{name}/blobs/uploads/", b"", {})
    location = upload.partition(address)[2] if "://" in upload else upload
    target = f"{location}{'&' if '?' in location else '?'}digest={digest}"
    headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
    _ask(address, "PUT", target, body, headers)


def _ask(address: str, method: str, path: str, body: bytes | BinaryIO, headers: Mapping[str, str]) -> str:
    """Send one request that must succeed, and return the Location of the answer."""
    connection = HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        text = response.read()
        if response.status not in (201, 202):
            raise RuntimeError(f"{method} {path}: {response.status} {text[:200]!r}")
        return response.headers["Location"] or ""
    finally:
        connection.close()


def _digest(file: Any) -> str:
    hasher = hashlib.sha256()
    while piece := file.read(_PIECE):
        hasher.update(piece)
    return f"sha256:{hasher.hexdigest()}"


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
