"""Blobs sent while they are being written."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import IncompleteBlob, RegistryError
from ocibuild.oci import Descriptor, Digest, Reference, mediatypes
from tests.unit.registry.scripts import refuse
from tests.unit.registry.test_client import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demo.registry import Handler, Service
    from ocibuild.registry import Registry
    from ocibuild.store import Blobs, BlobWriter, Store

_HALF = 2 << 20


@pytest.fixture
def reference(service: Service) -> Reference:
    return Reference.parse(f"{service.address}/team/app:1")


@pytest.fixture
def data(noise: bytes) -> bytes:
    return (noise * 2)[: 2 * _HALF]


@contextmanager
def _written(blobs: Blobs, data: bytes, upto: int) -> Iterator[BlobWriter]:
    """Give a writer that has so many bytes; the rest comes when the block is left."""
    with blobs.writer() as blob:
        blob.write(data[:upto])
        yield blob
        blob.write(data[upto:])


class _Sending(threading.Thread):
    def __init__(self, registry: Registry, reference: Reference, blob: BlobWriter) -> None:
        super().__init__()
        self._registry, self._reference, self._blob = registry, reference, blob
        self.digest: Digest | None = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.digest = self._registry.stream_blob(self._reference, self._blob)
        except Exception as error:  # noqa: BLE001  (the test looks at it)
            self.error = error


def _wait_for(service: Service, size: int) -> None:
    until = time.monotonic() + 20
    while not any(len(upload) >= size for upload in service.uploads.values()):
        assert time.monotonic() < until, "the bytes did not arrive"
        time.sleep(0.01)


def _descriptor(data: bytes) -> Descriptor:
    return Descriptor(mediatypes.OCI_LAYER, Digest.of(data), len(data))


def test_what_is_written_arrives_before_the_rest_is(
    registry: Registry, store: Store, reference: Reference, service: Service, data: bytes
) -> None:
    with _written(store.blobs, data, _HALF) as blob:
        sending = _Sending(registry, reference, blob)
        _wait_for(service, _HALF)
        assert sending.is_alive()
    sending.join()
    assert (sending.digest, sending.error) == (Digest.of(data), None)
    assert fetch(registry, reference, _descriptor(data)) == data
    assert [one.method for one in service.seen[:3]] == ["POST", "PATCH", "PUT"]
    assert "Content-Length" not in service.seen[1].headers
    assert service.seen[2].headers["Content-Length"] == "0"


def test_a_stream_that_breaks_is_taken_up(
    registry: Registry, store: Store, reference: Reference, service: Service, data: bytes
) -> None:
    first = iter([True])

    def intercept(handler: Handler) -> bool:
        if handler.command != "PATCH" or not next(first, False):
            return False
        upload = service.uploads[handler.path.rpartition("/")[2]]
        while len(upload) < _HALF:
            upload.extend(next(handler.body))
        handler.connection.close()
        handler.close_connection = True
        return True

    service.intercept = intercept
    with _written(store.blobs, data, _HALF) as blob:
        sending = _Sending(registry, reference, blob)
        _wait_for(service, _HALF)
    sending.join()
    assert (sending.digest, sending.error) == (Digest.of(data), None)
    assert fetch(registry, reference, _descriptor(data)) == data
    assert len(service.requests("POST")) == 1
    (rest,) = service.requests("PATCH")
    assert int(rest.headers["Content-Range"].partition("-")[0]) >= _HALF


@pytest.mark.parametrize("status", [405, 411, 413, 501])
def test_a_registry_that_takes_no_stream_gets_the_blob_otherwise(
    registry: Registry, store: Store, reference: Reference, service: Service, data: bytes, status: int
) -> None:
    service.intercept = lambda handler: (
        "Transfer-Encoding" in handler.headers and refuse(handler, status, "UNSUPPORTED", "not like this")
    )
    with _written(store.blobs, data, len(data)) as blob:
        sending = _Sending(registry, reference, blob)
    sending.join()
    assert (sending.digest, sending.error) == (Digest.of(data), None)
    assert fetch(registry, reference, _descriptor(data)) == data


def test_what_turns_out_to_be_there_is_not_sent_to_its_end(
    registry: Registry, store: Store, reference: Reference, service: Service, data: bytes
) -> None:
    with _written(store.blobs, data, len(data)) as blob:
        pass
    registry.stream_blob(reference, blob)
    service.seen.clear()
    assert registry.stream_blob(reference, blob) == Digest.of(data)
    assert service.requests("PUT") == []
    assert service.requests("HEAD", str(Digest.of(data)))
    assert service.requests("DELETE")


def test_a_blob_that_is_given_up_is_never_there(
    registry: Registry, store: Store, reference: Reference, service: Service, data: bytes
) -> None:
    with suppress(ZeroDivisionError), _written(store.blobs, data, _HALF) as blob:
        sending = _Sending(registry, reference, blob)
        _wait_for(service, _HALF)
        raise ZeroDivisionError
    sending.join()
    assert isinstance(sending.error, IncompleteBlob)
    assert service.requests("PUT") == []


def test_a_registry_that_refuses_is_told_of(
    registry: Registry, store: Store, reference: Reference, service: Service, data: bytes
) -> None:
    service.intercept = lambda handler: refuse(handler, 403, "DENIED", "no room for you")
    with _written(store.blobs, data, len(data)) as blob:
        pass
    with pytest.raises(RegistryError, match="no room for you"):
        registry.stream_blob(reference, blob)
