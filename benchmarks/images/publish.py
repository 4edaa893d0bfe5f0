"""Putting an image into a registry."""

from __future__ import annotations

from contextlib import closing
from http.client import HTTPConnection
from typing import TYPE_CHECKING

from benchmarks.images.image import MANIFEST, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.images.image import Variant

_LONGEST_SECONDS = 300


def publish(variant: Variant, address: str, repository: str) -> str:
    """Push the image to the plain HTTP registry, but for the blobs that are there; return its reference."""
    there = _Repository(address, repository)
    for blob in variant.layers:
        there.put_blob(blob.digest, blob.pieces(), blob.size)
    there.put_blob(digest_of(variant.config), [variant.config], len(variant.config))
    there.put_manifest(variant.tag, variant.manifest())
    return f"{address}/{repository}:{variant.tag}"


class _Repository:
    def __init__(self, address: str, name: str) -> None:
        self._address = address
        self._base = f"/v2/{name}"

    def put_blob(self, digest: str, body: Iterable[bytes], size: int) -> None:
        status, _ = self._ask("HEAD", f"{self._base}/blobs/{digest}", [], {}, (200, 404))
        if status == 200:
            return
        _, upload = self._ask("POST", f"{self._base}/blobs/uploads/", [], {"Content-Length": "0"}, (202,))
        location = upload.partition(self._address)[2] if "://" in upload else upload
        target = f"{location}{'&' if '?' in location else '?'}digest={digest}"
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        self._ask("PUT", target, body, headers, (201,))

    def put_manifest(self, tag: str, manifest: bytes) -> None:
        headers = {"Content-Type": MANIFEST, "Content-Length": str(len(manifest))}
        self._ask("PUT", f"{self._base}/manifests/{tag}", [manifest], headers, (201,))

    def _ask(
        self, method: str, path: str, body: Iterable[bytes], headers: Mapping[str, str], expected: tuple[int, ...]
    ) -> tuple[int, str]:
        """Send one request, and return the status, which must be expected, and the Location of the answer."""
        with closing(HTTPConnection(self._address, timeout=_LONGEST_SECONDS)) as connection:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            text = response.read()
            if response.status not in expected:
                raise RuntimeError(f"{method} {path}: {response.status} {text[:200]!r}")
            return response.status, response.headers["Location"] or ""
