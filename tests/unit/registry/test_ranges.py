"""Large blobs over several connections, from a server that gives each of them little."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import DigestMismatch
from ocibuild.oci import Descriptor, Digest, Reference, mediatypes
from ocibuild.registry import Credentials, Registry, RegistryBlobs, RegistryConfig
from ocibuild.registry.configuration.config import HostConfig
from tests.unit.registry.conftest import QUICK

if TYPE_CHECKING:
    from collections.abc import Callable

    from demo.registry import Handler, Service
    from ocibuild.store import Store

EAGER = replace(QUICK, range_least=200_000, range_pause=0.05)
_PIECE = 16 << 10


class Slow:
    """Sends a blob with ``pause`` seconds after each 16 KiB of a connection; counts what it sends."""

    def __init__(self, data: bytes, *, ranges: bool = True, cut: Callable[[int], bool] = lambda _start: False) -> None:
        self.data = data
        self.pause = 0.004
        self.sent = 0
        self.asked: list[str | None] = []
        self._ranges = ranges
        self._cut = cut
        self._lock = threading.Lock()

    def __call__(self, handler: Handler) -> bool:
        if handler.command != "GET" or "/blobs/" not in handler.path:
            return False
        asked = handler.headers.get("Range")
        found = re.fullmatch(r"bytes=([0-9]+)-([0-9]*)", asked or "") if self._ranges else None
        start, end = (int(found[1]), int(found[2] or len(self.data) - 1) + 1) if found else (0, len(self.data))
        with self._lock:
            self.asked.append(asked)
        handler.send_response(206 if found else 200)
        handler.send_header("Content-Length", str(end - start))
        if found:
            handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(self.data)}")
        handler.end_headers()
        self._send(handler, start, end)
        return True

    def _send(self, handler: Handler, start: int, end: int) -> None:
        is_cut = self._cut(start)
        for at in range(start, end, _PIECE):
            if is_cut and at > start:
                handler.close_connection = True
                return
            handler.wfile.write(self.data[at : min(at + _PIECE, end)])
            handler.wfile.flush()
            with self._lock:
                self.sent += _PIECE
            threading.Event().wait(self.pause)


@pytest.fixture
def reference(service: Service) -> Reference:
    return Reference.parse(f"{service.address}/team/app:1")


def fetch(store: Store, reference: Reference, data: bytes, *, parallel: int = 4) -> list[int]:
    """Fetch the blob and return what progress heard."""
    blob = Descriptor(mediatypes.OCI_LAYER, Digest.of(data), len(data))
    config = RegistryConfig({reference.domain: HostConfig(parallel=parallel)})
    told: list[int] = []
    with Registry(config, Credentials(), policy=EAGER) as registry:
        RegistryBlobs(lambda: registry, store, reference).fetch(blob, progress=told.append)
    assert store.blobs.read(blob.digest) == data
    return told


def test_a_slow_blob_comes_in_ranges_and_each_byte_about_once(
    service: Service, store: Store, reference: Reference, noise: bytes
) -> None:
    service.intercept = slow = Slow(noise)
    told = fetch(store, reference, noise)
    assert told == sorted(told)
    assert told[-1] == len(noise)
    assert 2 <= len(slow.asked) <= 12
    assert slow.asked[0] is None
    assert all(re.fullmatch(r"bytes=[0-9]+-[0-9]+", asked or "") for asked in slow.asked[1:])
    assert slow.sent < 1.5 * len(noise), "what is divided is read ahead a little"


def test_a_fast_blob_comes_over_one_connection(
    service: Service, store: Store, reference: Reference, noise: bytes
) -> None:
    service.intercept = slow = Slow(noise)
    slow.pause = 0
    fetch(store, reference, noise)
    assert len(slow.asked) <= 2


def test_no_more_connections_than_the_registry_allows(
    service: Service, store: Store, reference: Reference, noise: bytes
) -> None:
    service.intercept = slow = Slow(noise[:1_000_000])
    slow.pause = 0.01
    fetch(store, reference, noise[:1_000_000], parallel=1)
    assert slow.asked == [None]


def test_a_server_without_ranges_is_read_to_its_end(
    service: Service, store: Store, reference: Reference, noise: bytes
) -> None:
    service.intercept = Slow(noise[:1_000_000], ranges=False)
    fetch(store, reference, noise[:1_000_000])


def test_a_range_that_breaks_is_taken_up_where_it_ended(
    service: Service, store: Store, reference: Reference, noise: bytes
) -> None:
    broken: list[int] = []

    def cut(start: int) -> bool:
        is_new = start > 0 and len(broken) < 6
        if is_new:
            broken.append(start)
        return is_new

    service.intercept = slow = Slow(noise, cut=cut)
    fetch(store, reference, noise)
    assert broken
    assert slow.sent < 2 * len(noise)


def test_a_range_with_other_bytes_is_found_out(
    service: Service, store: Store, reference: Reference, noise: bytes
) -> None:
    service.intercept = Slow(noise[:-1] + b"?")
    blob = Descriptor(mediatypes.OCI_LAYER, Digest.of(noise), len(noise))
    with (
        Registry(RegistryConfig(), Credentials(), policy=EAGER) as registry,
        pytest.raises(DigestMismatch, match=f"{reference}: {blob.digest}"),
    ):
        RegistryBlobs(lambda: registry, store, reference).fetch(blob)
    assert not store.blobs.has(blob.digest)
    assert threading.active_count() < 20
