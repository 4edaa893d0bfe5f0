from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from demo.registry import Service, serve
from ocibuild.errors import DigestMismatch, NotFound, UnsupportedMediaType
from ocibuild.oci import Descriptor, Reference, mediatypes
from ocibuild.registry import Credentials, Registry, RegistryBlobs, RegistryConfig, resolve
from ocibuild.registry.configuration.config import HostConfig
from ocibuild.transfer import push
from tests.unit.registry.conftest import QUICK
from tests.unit.registry.images import AMD64, nothing, pull_layers, put_image
from tests.unit.registry.scripts import reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.registry import Handler
    from ocibuild.store import Store


@pytest.fixture
def reference(service: Service) -> Reference:
    return Reference.parse(f"{service.address}/team/app:1")


def pull(registry: Registry, store: Store, reference: Reference) -> list[tuple[Descriptor, int]]:
    told: list[tuple[Descriptor, int]] = []
    resolved = resolve(registry, store, reference, AMD64)
    pull_layers(registry, store, resolved, progress=lambda *report: told.append(report))
    return told


def give(registry: Registry, store: Store, reference: Reference, layers: Sequence[bytes]) -> list[Descriptor]:
    push(registry, store, put_image(store, layers), [reference], progress=nothing)
    return list(resolve(registry, store, reference, AMD64).manifest.layers)


def test_layers_arrive_whole_and_once(
    registry: Registry, store: Store, other_store: Store, reference: Reference, service: Service, noise: bytes
) -> None:
    layers = give(registry, store, reference, [noise, b"small", noise])
    told = pull(registry, other_store, reference)
    assert other_store.blobs.read(layers[0].digest) == noise
    assert other_store.blobs.read(layers[1].digest) == b"small"
    assert len(service.requests("GET", f"/blobs/{layers[0].digest}")) == 1
    assert (layers[0], len(noise)) in told
    assert (layers[1], 5) in told


def test_layers_that_are_here_are_not_fetched(
    registry: Registry, store: Store, other_store: Store, reference: Reference, service: Service
) -> None:
    layers = give(registry, store, reference, [b"one", b"two"])
    other_store.blobs.put(b"one", mediatypes.OCI_LAYER)
    pull(registry, other_store, reference)
    assert service.requests("GET", f"/blobs/{layers[0].digest}") == []
    service.seen.clear()
    assert pull(registry, other_store, reference) == []
    assert service.requests("GET") == []


def test_layers_are_fetched_at_the_same_time(
    registry: Registry, store: Store, other_store: Store, reference: Reference, service: Service
) -> None:
    give(registry, store, reference, [b"one", b"two", b"three"])
    resolved = resolve(registry, other_store, reference, AMD64)
    together = threading.Barrier(3, timeout=5)
    service.intercept = lambda _: together.wait() < 0
    pull_layers(registry, other_store, resolved, progress=nothing)


def test_no_more_than_allowed_are_fetched_at_the_same_time(
    registry: Registry, store: Store, other_store: Store, reference: Reference, service: Service
) -> None:
    give(registry, store, reference, [bytes([number]) for number in range(6)])
    resolved = resolve(registry, other_store, reference, AMD64)
    free = threading.Semaphore(2)

    def intercept(handler: Handler) -> bool:
        assert free.acquire(blocking=False), "a third one at a time"
        threading.Event().wait(0.02)
        free.release()
        return False

    service.intercept = intercept
    config = RegistryConfig({service.address: HostConfig(parallel=2)})
    with Registry(config, Credentials(), policy=QUICK) as limited:
        pull_layers(limited, other_store, resolved, progress=nothing)


def test_a_damaged_layer_is_refused_and_not_kept(
    registry: Registry, store: Store, other_store: Store, reference: Reference, service: Service
) -> None:
    good, bad = give(registry, store, reference, [b"good", b"bad!"])
    came = threading.Event()

    def intercept(handler: Handler) -> bool:
        if bad.digest in handler.path:
            came.wait(5)
            return reply(handler, 200, b"evil")
        return False

    service.intercept = intercept
    blobs = RegistryBlobs(lambda: registry, other_store, reference)
    blobs.fetch(good)
    came.set()
    with pytest.raises(DigestMismatch, match=f"{reference}: {bad.digest}"):
        pull(registry, other_store, reference)
    assert not other_store.blobs.has(bad.digest)
    assert other_store.blobs.has(good.digest), "what was complete stays"
    service.intercept = None
    pull(registry, other_store, reference)
    assert other_store.blobs.has(bad.digest)


def test_the_first_error_ends_the_other_transfers(
    registry: Registry, store: Store, other_store: Store, reference: Reference, service: Service, noise: bytes
) -> None:
    endless, missing = give(registry, store, reference, [noise, b"missing"])
    running = threading.Event()

    def intercept(handler: Handler) -> bool:
        if endless.digest in handler.path:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(noise))
            for start in range(0, len(noise), 4096):
                handler.wfile.write(noise[start : start + 4096])
                handler.wfile.flush()
                running.set()
                threading.Event().wait(0.005)
            return True
        if missing.digest in handler.path:
            running.wait(5)
            handler.fail(404, "BLOB_UNKNOWN", "gone")
            return True
        return False

    service.intercept = intercept
    with pytest.raises(NotFound, match=str(missing.digest)):
        pull(registry, other_store, reference)
    assert not other_store.blobs.has(endless.digest)
    assert threading.active_count() < 20


def test_a_layer_of_an_unknown_kind_is_refused_before_anything_is_fetched(
    registry: Registry, store: Store, other_store: Store, reference: Reference, service: Service
) -> None:
    image = put_image(store, layer_type="application/vnd.example.layer.v1+xz")
    push(registry, store, image, [reference], progress=nothing)
    with pytest.raises(UnsupportedMediaType, match=r"team/app:1: .*example\.layer\.v1\+xz"):
        resolve(registry, other_store, reference, AMD64)
    assert service.requests("GET", "/blobs/") == []
    assert list(other_store.blobs) == []


def test_a_mirror_that_lies_is_passed_over(
    registry: Registry, store: Store, other_store: Store, reference: Reference, service: Service
) -> None:
    layers = give(registry, store, reference, [b"good"])
    with serve(Service(intercept=lambda handler: reply(handler, 200, b"evil"))) as mirror:
        config = RegistryConfig({service.address: HostConfig(mirrors=(mirror.address,))})
        with Registry(config, Credentials(), policy=QUICK) as mirrored:
            pull(mirrored, other_store, reference)
    assert other_store.blobs.read(layers[0].digest) == b"good"


@pytest.mark.parametrize("layer_type", [mediatypes.DOCKER_LAYER_GZIP, mediatypes.OCI_LAYER_ZSTD, mediatypes.OCI_LAYER])
def test_every_kind_of_layer_is_fetched_as_it_is(
    registry: Registry, store: Store, other_store: Store, reference: Reference, layer_type: str
) -> None:
    push(registry, store, put_image(store, [b"bytes"], layer_type=layer_type), [reference], progress=nothing)
    pull(registry, other_store, reference)
    assert b"bytes" in [other_store.blobs.read(digest) for digest in other_store.blobs]
