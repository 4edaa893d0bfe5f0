from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from demo.registry import Service, serve
from ocibuild.errors import DigestMismatch, NotFound, RegistryError
from ocibuild.oci import Descriptor, Digest, Reference, mediatypes
from ocibuild.registry import Credentials, Registry, RegistryConfig
from ocibuild.registry.configuration.config import HostConfig
from tests.unit.registry.conftest import QUICK
from tests.unit.registry.images import bytes_at, fetch_blob, nothing, push_blob
from tests.unit.registry.scripts import reply
from tests.unit.registry.test_client import fetch, give

if TYPE_CHECKING:
    from collections.abc import Callable

    from demo.registry import Handler


@pytest.fixture
def reference(service: Service) -> Reference:
    return Reference.parse(f"{service.address}/team/app:1")


def cutting(noise: bytes, *, times: int, after: int = 1_200_000) -> Callable[[Handler], bool]:
    """Break the first transfers of a blob ``after`` some bytes each."""
    left = [times]

    def intercept(handler: Handler) -> bool:
        if handler.command != "GET" or "/blobs/" not in handler.path or not left[0]:
            return False
        left[0] -= 1
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(noise) - 1}/{len(noise)}")
        handler.send_header("Content-Length", str(len(noise) - start))
        handler.end_headers()
        handler.wfile.write(noise[start : start + after])
        handler.close_connection = True
        return True

    return intercept


def test_a_cut_transfer_is_taken_up_where_it_ended(
    registry: Registry, reference: Reference, service: Service, noise: bytes
) -> None:
    blob = give(registry, reference, noise)
    service.intercept = cutting(noise, times=2)
    assert fetch(registry, reference, blob) == noise
    ranges = [one.headers.get("Range") for one in service.requests("GET", "/blobs/")]
    assert ranges == [None, "bytes=1200000-", "bytes=2400000-"], "no byte is fetched twice"


def test_a_registry_without_ranges_is_read_again_and_written_once(
    registry: Registry, reference: Reference, service: Service, noise: bytes
) -> None:
    blob = give(registry, reference, noise)
    cut = cutting(noise, times=1)

    def intercept(handler: Handler) -> bool:
        if cut(handler):
            return True
        if "Range" in handler.headers:
            del handler.headers["Range"]
        return False

    service.intercept = intercept
    assert fetch(registry, reference, blob) == noise


def test_cuts_without_progress_end(registry: Registry, reference: Reference, service: Service, noise: bytes) -> None:
    blob = give(registry, reference, noise)
    service.intercept = cutting(noise, times=1000, after=10)
    with pytest.raises(RegistryError):
        fetch(registry, reference, blob)
    assert len(service.requests("GET", "/blobs/")) == QUICK.attempts


def test_a_registry_that_is_busy_for_a_moment_is_asked_again(
    registry: Registry, reference: Reference, service: Service
) -> None:
    blob = give(registry, reference, b"hello")
    answers = iter([503, 429])
    service.intercept = lambda handler: bool(status := next(answers, 0)) and reply(handler, status)
    assert fetch(registry, reference, blob) == b"hello"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"hello, world", {}),
        (b"hell", {}),
        (b"hello, world", {"Transfer_Encoding": "none", "Content_Length": "5000000000000000000000000"}),
    ],
    ids=["too long", "too short", "a length that lies"],
)
def test_a_size_that_lies_is_refused(
    registry: Registry, reference: Reference, service: Service, body: bytes, headers: dict[str, str]
) -> None:
    blob = give(registry, reference, b"hello")
    service.intercept = lambda handler: reply(handler, 200, body, **headers)
    with pytest.raises(DigestMismatch, match=f"{reference}: {blob.digest}"):
        fetch(registry, reference, blob)
    assert len(service.requests("GET", "/blobs/")) == 1


def test_an_endless_body_ends(registry: Registry, reference: Reference, service: Service) -> None:
    blob = give(registry, reference, b"hello")

    def intercept(handler: Handler) -> bool:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(200):
            handler.wfile.write(b"x" * (1 << 20))
        return True

    service.intercept = intercept
    received = bytearray()
    with pytest.raises(DigestMismatch, match="more where the manifest says 5"):
        fetch_blob(registry, reference, blob, received.extend)
    assert len(received) <= blob.size


def test_another_range_than_asked_for_is_refused(
    registry: Registry, reference: Reference, service: Service, noise: bytes
) -> None:
    blob = give(registry, reference, noise)
    cut = cutting(noise, times=1)
    service.intercept = lambda handler: (
        cut(handler) or reply(handler, 206, noise[:5], Content_Range=f"bytes 0-4/{len(noise)}")
    )
    with pytest.raises(RegistryError, match="another range"):
        fetch(registry, reference, blob)


def test_a_blob_may_lie_on_another_host(registry: Registry, reference: Reference, service: Service) -> None:
    blob = give(registry, reference, b"hello")
    data = Service(intercept=lambda handler: reply(handler, 200, b"hello"))
    with serve(data) as cdn:
        service.intercept = lambda handler: reply(handler, 307, Location=f"http://{cdn.address}/x")
        assert fetch(registry, reference, blob) == b"hello"
    assert len(cdn.seen) == 1


def test_the_origin_goes_on_where_a_mirror_broke_off(
    registry: Registry, reference: Reference, service: Service, noise: bytes
) -> None:
    blob = give(registry, reference, noise)
    with serve() as mirror:
        mirror.intercept = cutting(noise, times=1)
        config = RegistryConfig({service.address: HostConfig(mirrors=(mirror.address,))})
        with Registry(config, Credentials(), policy=QUICK) as mirrored:
            assert fetch(mirrored, reference, blob) == noise
    (rest,) = service.requests("GET", "/blobs/")
    assert rest.headers["Range"] == "bytes=1200000-"


def foreign(data: bytes, *urls: str) -> Descriptor:
    return Descriptor(mediatypes.DOCKER_FOREIGN_LAYER_GZIP, Digest.of(data), len(data), urls=urls)


def test_a_foreign_layer_comes_from_its_urls_without_credentials(registry: Registry, reference: Reference) -> None:
    with serve(Service(intercept=lambda handler: reply(handler, 200, b"hello"))) as elsewhere:
        blob = foreign(b"hello", "https://127.0.0.1:1/x", f"http://{elsewhere.address}/layer")
        assert fetch(registry, reference, blob) == b"hello"
    assert "Authorization" not in elsewhere.seen[0].headers


def test_a_foreign_layer_that_the_registry_has_comes_from_there(
    registry: Registry, reference: Reference, service: Service
) -> None:
    give(registry, reference, b"hello")
    assert fetch(registry, reference, foreign(b"hello", f"http://{service.address}/elsewhere")) == b"hello"
    assert service.requests("GET", "/elsewhere") == []


@pytest.mark.parametrize("urls", [(), ("ftp://127.0.0.1/x",), ("file:///etc/passwd",), ("http://127.0.0.1:1/x",)])
def test_a_foreign_layer_that_is_nowhere_is_named(
    registry: Registry, reference: Reference, urls: tuple[str, ...]
) -> None:
    with pytest.raises(NotFound, match=r"foreign layer sha256:[0-9a-f]+ is neither"):
        fetch(registry, reference, foreign(b"hello", *urls))


def test_an_ordinary_layer_never_comes_from_urls(registry: Registry, reference: Reference, service: Service) -> None:
    blob = Descriptor(mediatypes.OCI_LAYER, Digest.of(b"x"), 1, urls=(f"http://{service.address}/elsewhere",))
    with pytest.raises(NotFound):
        fetch(registry, reference, blob)
    assert service.requests("GET", "/elsewhere") == []


def test_a_writer_that_fails_is_heard(registry: Registry, reference: Reference, noise: bytes) -> None:
    blob = give(registry, reference, noise)

    def write(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fetch_blob(registry, reference, blob, write)
    push_blob(registry, reference, blob, bytes_at(noise), nothing)
