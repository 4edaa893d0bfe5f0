from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from demo.registry import Service, serve
from ocibuild.errors import RegistryError, Unauthorized
from ocibuild.oci import Descriptor, Digest, Reference, mediatypes
from ocibuild.registry import Credentials, Registry, RegistryConfig
from tests.unit.registry.conftest import QUICK
from tests.unit.registry.images import bytes_at, nothing, push_blob
from tests.unit.registry.scripts import refuse, reply
from tests.unit.registry.test_client import fetch, give

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from demo.registry import Handler


@pytest.fixture
def reference(service: Service) -> Reference:
    return Reference.parse(f"{service.address}/team/app:1")


@pytest.fixture
def chunked() -> Iterator[Registry]:
    with Registry(RegistryConfig(), Credentials(), policy=QUICK, chunk_size=1_000_000) as client:
        yield client


def methods(service: Service) -> list[str]:
    return [one.method for one in service.seen]


def test_a_blob_goes_in_one_piece(registry: Registry, reference: Reference, service: Service, noise: bytes) -> None:
    give(registry, reference, noise)
    assert methods(service) == ["HEAD", "POST", "PUT"]
    assert service.seen[-1].headers["Content-Length"] == str(len(noise))


def test_a_blob_that_is_there_is_not_sent(registry: Registry, reference: Reference, service: Service) -> None:
    blob = give(registry, reference, b"hello")
    service.seen.clear()
    told: list[int] = []
    assert push_blob(registry, reference, blob, bytes_at(b"hello"), told.append) is False
    assert methods(service) == ["HEAD"]
    assert told == [5]


def test_progress_counts_the_bytes_that_are_sent(registry: Registry, reference: Reference, noise: bytes) -> None:
    told: list[int] = []
    blob = Descriptor(mediatypes.OCI_LAYER, Digest.of(noise), len(noise))
    assert push_blob(registry, reference, blob, bytes_at(noise), told.append) is True
    assert told == sorted(told)
    assert told[-1] == len(noise)


def test_chunks_follow_one_another(chunked: Registry, reference: Reference, service: Service, noise: bytes) -> None:
    assert fetch(chunked, reference, give(chunked, reference, noise)) == noise
    ranges = [one.headers["Content-Range"] for one in service.requests("PATCH")]
    assert ranges == ["0-999999", "1000000-1999999", "2000000-2999999", f"3000000-{len(noise) - 1}"]
    assert service.requests("PUT")[0].headers["Content-Length"] == "0"


def test_an_empty_blob_goes_in_chunks_too(chunked: Registry, reference: Reference) -> None:
    assert fetch(chunked, reference, give(chunked, reference, b"")) == b""


def test_the_least_size_of_a_chunk_is_respected(
    chunked: Registry, reference: Reference, service: Service, noise: bytes
) -> None:
    session = "0" * 32

    def intercept(handler: Handler) -> bool:
        if handler.command != "POST":
            return False
        service.uploads[session] = bytearray()
        location = f"/v2/team/app/blobs/uploads/{session}"
        reply(handler, 202, Location=location, OCI_Chunk_Min_Length="2000000")
        return True

    service.intercept = intercept
    give(chunked, reference, noise)
    assert [one.headers["Content-Range"].partition("-")[0] for one in service.requests("PATCH")] == ["0", "2000000"]


@pytest.mark.parametrize("status", [405, 411, 413, 501])
def test_a_registry_that_refuses_the_whole_gets_chunks(
    registry: Registry, reference: Reference, service: Service, noise: bytes, status: int
) -> None:
    service.intercept = lambda handler: (
        handler.command == "PUT"
        and handler.headers["Content-Length"] != "0"
        and refuse(handler, status, "UNSUPPORTED", "not like this")
    )
    assert fetch(registry, reference, give(registry, reference, noise)) == noise
    assert len(service.requests("PATCH")) == 1


def test_an_upload_that_breaks_begins_anew(
    registry: Registry, reference: Reference, service: Service, noise: bytes
) -> None:
    first = iter([True])

    def intercept(handler: Handler) -> bool:
        if handler.command == "PUT" and next(first, False):
            handler.rfile.read(100_000)
            handler.connection.close()
            handler.close_connection = True
            return True
        return False

    service.intercept = intercept
    assert fetch(registry, reference, give(registry, reference, noise)) == noise
    assert len(service.requests("POST")) == 2


@pytest.mark.parametrize("status", [404, 416, 500, 503])
def test_a_lost_upload_session_is_replaced(
    chunked: Registry, reference: Reference, service: Service, noise: bytes, status: int
) -> None:
    answers = iter([0, status])

    def intercept(handler: Handler) -> bool:
        if handler.command == "PATCH" and (code := next(answers, 0)):
            service.uploads.clear()
            return reply(handler, code)
        return False

    service.intercept = intercept
    assert fetch(chunked, reference, give(chunked, reference, noise)) == noise
    assert len(service.requests("POST")) == 2


def test_a_token_that_ends_in_the_middle_is_renewed(noise: bytes) -> None:
    with serve(Service(login=("", ""))) as service:
        known = Credentials.load({"DOCKER_AUTH_CONFIG": f'{{"auths": {{"{service.address}": {{"auth": "Og=="}}}}}}'})
        reference = Reference.parse(f"{service.address}/team/app:1")
        sent = []

        def intercept(handler: Handler) -> bool:
            if handler.command == "PATCH":
                sent.append(handler)
                if len(sent) == 3:
                    service.tokens.clear()
            return False

        service.intercept = intercept
        with Registry(RegistryConfig(), known, policy=QUICK, chunk_size=1_000_000) as client:
            assert fetch(client, reference, give(client, reference, noise)) == noise
        assert len(service.requests("POST")) == 1, "the session goes on with the new token"


@pytest.mark.parametrize("received", ["0-0", "0-9999999999", "0-"])
def test_a_registry_that_miscounts_is_refused(
    chunked: Registry, reference: Reference, service: Service, noise: bytes, received: str
) -> None:
    def intercept(handler: Handler) -> bool:
        if handler.command != "PATCH":
            return False
        handler.answer(202, Location=handler.path, Range=received)
        return True

    service.intercept = intercept
    with pytest.raises(RegistryError):
        give(chunked, reference, noise)
    assert len(service.seen) < 10


@pytest.mark.parametrize(
    ("location", "complaint"),
    [("", "without a Location"), ("ftp://127.0.0.1/x", "not a web address"), ("http://[", "not a URL")],
)
def test_an_upload_goes_nowhere_odd(
    registry: Registry, reference: Reference, service: Service, location: str, complaint: str
) -> None:
    service.intercept = lambda handler: handler.command == "POST" and reply(handler, 202, Location=location)
    with pytest.raises(RegistryError, match=complaint):
        give(registry, reference, b"hello")


def test_an_upload_to_another_host_goes_without_authorization(noise: bytes) -> None:
    with serve(Service(intercept=lambda handler: reply(handler, 201))) as storage:
        location = f"http://{storage.address}/put?signature=x"

        def intercept(handler: Handler) -> bool:
            if handler.command == "POST" and "Authorization" in handler.headers:
                reply(handler, 202, Location=location)
                return True
            return False

        with serve(Service(login=("a", "b"), intercept=intercept)) as service:
            known = Credentials.load(
                {"DOCKER_AUTH_CONFIG": f'{{"auths": {{"{service.address}": {{"auth": "YTpi"}}}}}}'}
            )
            with Registry(RegistryConfig(), known, policy=QUICK) as client:
                give(client, Reference.parse(f"{service.address}/team/app:1"), noise)
    (put,) = storage.seen
    assert "Authorization" not in put.headers
    assert put.path == f"/put?signature=x&digest={Digest.of(noise).replace(':', '%3A')}"


def test_a_push_without_the_right_to_it_is_refused(registry: Registry, reference: Reference, service: Service) -> None:
    service.intercept = lambda handler: handler.command != "HEAD" and refuse(handler, 403, "DENIED", "read only")
    with pytest.raises(Unauthorized, match="read only"):
        give(registry, reference, b"hello")
    assert methods(service) == ["HEAD", "POST"]


def test_what_the_registry_finds_wrong_is_not_sent_again(
    registry: Registry, reference: Reference, service: Service
) -> None:
    wrong = Descriptor(mediatypes.OCI_LAYER, Digest.of(b"other"), 5)
    with pytest.raises(RegistryError, match=f"upload of {wrong.digest}"):
        push_blob(registry, reference, wrong, bytes_at(b"hello"), nothing)
    assert methods(service) == ["HEAD", "POST", "PUT"]


def cutting(service: Service, *, times: int, after: int) -> Callable[[Handler], bool]:
    """Break the first transfers into an upload session ``after`` some bytes each, which the registry keeps."""
    left = [times]

    def intercept(handler: Handler) -> bool:
        if handler.command not in ("PATCH", "PUT") or not left[0] or handler.headers["Content-Length"] == "0":
            return False
        left[0] -= 1
        session = handler.path.partition("?")[0].rpartition("/")[2]
        service.uploads[session] += handler.rfile.read(after)
        handler.connection.close()
        handler.close_connection = True
        return True

    return intercept


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocibuild.registry.blobs.upload.STREAMED", 1 << 20)


@pytest.mark.usefixtures("streamed")
def test_a_large_blob_goes_as_a_stream(
    registry: Registry, reference: Reference, service: Service, noise: bytes
) -> None:
    assert fetch(registry, reference, give(registry, reference, noise)) == noise
    assert methods(service)[:4] == ["HEAD", "POST", "PATCH", "PUT"]
    patch = service.requests("PATCH")[0]
    assert patch.headers["Content-Length"] == str(len(noise))
    assert "Content-Range" not in patch.headers, "as docker does"


@pytest.mark.usefixtures("streamed")
def test_a_stream_that_breaks_is_taken_up_where_the_registry_is(
    registry: Registry, reference: Reference, service: Service, noise: bytes
) -> None:
    service.intercept = cutting(service, times=2, after=1_300_000)
    assert fetch(registry, reference, give(registry, reference, noise)) == noise
    assert len(service.requests("POST")) == 1, "one upload session"
    assert [one.headers["Content-Range"] for one in service.requests("PATCH")] == [f"2600000-{len(noise) - 1}"]
    assert len(service.requests("GET", "/uploads/")) == 2


def test_a_blob_that_was_to_go_whole_is_taken_up_likewise(
    registry: Registry, reference: Reference, service: Service, noise: bytes
) -> None:
    service.intercept = cutting(service, times=1, after=1_000_000)
    assert fetch(registry, reference, give(registry, reference, noise)) == noise
    assert len(service.requests("POST")) == 1
    assert [one.headers["Content-Range"] for one in service.requests("PATCH")] == [f"1000000-{len(noise) - 1}"]


@pytest.mark.parametrize("answer", [404, 204], ids=["unknown", "without a range"])
@pytest.mark.usefixtures("streamed")
def test_a_session_that_is_lost_begins_anew(
    registry: Registry, reference: Reference, service: Service, noise: bytes, answer: int
) -> None:
    cut = cutting(service, times=1, after=1_000_000)
    service.intercept = lambda handler: (
        (handler.command == "GET" and "/uploads/" in handler.path and reply(handler, answer)) or cut(handler)
    )
    assert fetch(registry, reference, give(registry, reference, noise)) == noise
    assert len(service.requests("POST")) == 2


@pytest.mark.usefixtures("streamed")
def test_a_blob_that_cannot_be_read_is_not_the_registrys_fault(
    registry: Registry, reference: Reference, service: Service, noise: bytes
) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= 1 << 20:
                raise RegistryError("the source is gone", retryable=True)
            return super().read(size)

    blob = Descriptor(mediatypes.OCI_LAYER, Digest.of(noise), len(noise))
    with pytest.raises(RegistryError, match=r"^the source is gone$"):
        push_blob(registry, reference, blob, lambda offset: Broken(noise[offset:]), nothing)
    assert len(service.requests("POST")) == 1


def test_a_blob_of_another_repository_is_mounted(
    registry: Registry, reference: Reference, service: Service, noise: bytes
) -> None:
    blob = give(registry, Reference.parse(f"{service.address}/other/app:1"), noise)
    service.seen.clear()
    told: list[int] = []
    assert push_blob(registry, reference, blob, bytes_at(noise), told.append, mount_from="other/app")
    assert methods(service) == ["HEAD", "POST"]
    assert told == [len(noise)]
    assert fetch(registry, reference, blob) == noise


@pytest.mark.parametrize("status", [202, 400, 401, 403, 404, 405])
def test_a_mount_that_is_refused_becomes_an_upload(
    registry: Registry, reference: Reference, service: Service, noise: bytes, status: int
) -> None:
    service.intercept = lambda handler: (
        status != 202 and "mount=" in handler.path and refuse(handler, status, "DENIED", "not from there")
    )
    blob = Descriptor(mediatypes.OCI_LAYER, Digest.of(noise), len(noise))
    push_blob(registry, reference, blob, bytes_at(noise), nothing, mount_from="other/app")
    service.intercept = None
    assert fetch(registry, reference, blob) == noise
    assert len(service.requests("POST")) == (1 if status == 202 else 2)
