"""The stand-in is part of the demo and of other tests: it keeps the rules of the protocol itself."""

from __future__ import annotations

import json
import subprocess
import sys
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING

import pytest

from demo.registry import FolderFiles, Service, serve
from ocibuild.oci import Digest, mediatypes

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = Digest.of(b"hello")
OTHER = Digest.of(b"other")
BLOBS = "/v2/app/blobs"


def ask(
    service: Service, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection(service.address, timeout=5)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def give(service: Service, data: bytes = b"hello") -> None:
    response, _ = ask(service, "POST", f"{BLOBS}/uploads/?digest={Digest.of(data)}", data)
    assert response.status == 201


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        ("bytes=1-3", 206, b"ell", "bytes 1-3/5"),
        ("bytes=2-", 206, b"llo", "bytes 2-4/5"),
        ("bytes=0-99", 206, b"hello", "bytes 0-4/5"),
        ("bytes=5-", 416, None, "bytes */5"),
        ("lines=1-2", 200, b"hello", None),
    ],
)
def test_ranges_are_served(
    service: Service, asked: str, status: int, body: bytes | None, content_range: str | None
) -> None:
    give(service)
    response, data = ask(service, "GET", f"{BLOBS}/{DIGEST}", headers={"Range": asked})
    assert (response.status, response.headers["Content-Range"]) == (status, content_range)
    assert body is None or data == body


def test_head_tells_the_size_and_the_digest(service: Service) -> None:
    give(service)
    response, data = ask(service, "HEAD", f"{BLOBS}/{DIGEST}")
    assert (response.headers["Content-Length"], response.headers["Docker-Content-Digest"], data) == ("5", DIGEST, b"")


def test_a_blob_with_another_digest_is_refused(service: Service) -> None:
    response, body = ask(service, "POST", f"{BLOBS}/uploads/?digest={OTHER}", b"hello")
    assert (response.status, json.loads(body)["errors"][0]["code"]) == (400, "DIGEST_INVALID")
    assert ask(service, "HEAD", f"{BLOBS}/{OTHER}")[0].status == 404


def test_a_chunk_out_of_order_is_refused_with_where_to_go_on(service: Service) -> None:
    location = ask(service, "POST", f"{BLOBS}/uploads/")[0].headers["Location"]
    assert ask(service, "PATCH", location, b"hel", {"Content-Range": "0-2"})[0].status == 202
    response, _ = ask(service, "PATCH", location, b"lo", {"Content-Range": "4-5"})
    assert (response.status, response.headers["Range"]) == (416, "0-2")
    assert ask(service, "PUT", f"{location}?digest={DIGEST}", b"lo")[0].status == 201


def test_a_body_of_unknown_length_is_taken(service: Service) -> None:
    location = ask(service, "POST", f"{BLOBS}/uploads/")[0].headers["Location"]
    connection = HTTPConnection(service.address, timeout=5)
    connection.request("PATCH", location, iter([b"he", b"llo"]), encode_chunked=True)
    assert connection.getresponse().status == 202
    connection.close()
    assert ask(service, "PUT", f"{location}?digest={DIGEST}")[0].status == 201


def test_a_blob_is_mounted_from_another_repository(service: Service) -> None:
    give(service)
    mounted = ask(service, "POST", f"/v2/other/blobs/uploads/?mount={DIGEST}&from=app")[0]
    missing = ask(service, "POST", f"/v2/other/blobs/uploads/?mount={OTHER}&from=app")[0]
    assert (mounted.status, missing.status) == (201, 202)
    assert ask(service, "GET", f"/v2/other/blobs/{DIGEST}")[1] == b"hello"


@pytest.mark.parametrize(
    ("manifest", "status", "code"),
    [
        (b"{", 400, "MANIFEST_INVALID"),
        (b"[]", 400, "MANIFEST_INVALID"),
        (json.dumps({"config": {"digest": OTHER}, "layers": []}).encode(), 404, "MANIFEST_BLOB_UNKNOWN"),
        (json.dumps({"manifests": [{"digest": OTHER}]}).encode(), 404, "MANIFEST_BLOB_UNKNOWN"),
        (b" " * ((4 << 20) + 1), 413, "SIZE_INVALID"),
    ],
    ids=["no JSON", "no object", "no config", "no child", "too large"],
)
def test_a_manifest_that_is_wrong_is_refused(service: Service, manifest: bytes, status: int, code: str) -> None:
    response, body = ask(service, "PUT", "/v2/app/manifests/1", manifest)
    assert (response.status, json.loads(body)["errors"][0]["code"]) == (status, code)


def test_tags_are_listed_page_by_page(service: Service) -> None:
    for tag in "bca":
        ask(service, "PUT", f"/v2/app/manifests/{tag}", b"{}", {"Content-Type": mediatypes.OCI_INDEX})
    response, body = ask(service, "GET", "/v2/app/tags/list?n=2")
    assert json.loads(body) == {"name": "app", "tags": ["a", "b"]}
    following = response.headers["Link"].partition(">")[0][1:]
    response, body = ask(service, "GET", following)
    assert (json.loads(body)["tags"], response.headers["Link"]) == (["c"], None)
    assert ask(service, "GET", "/v2/nope/tags/list")[0].status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/v2/../../etc/passwd",
        "/v2/app/manifests/..",
        "/v2/app/blobs/sha256:..",
        "/v2/APP/tags/list",
        "/v2/a/../b/tags/list",
        "/etc/passwd",
    ],
)
def test_names_lead_nowhere_else(tmp_path: Path, path: str) -> None:
    with serve(Service(FolderFiles(str(tmp_path / "files")))) as service:
        assert ask(service, "GET", path)[0].status == 404


def test_images_in_a_folder_outlive_the_registry(tmp_path: Path) -> None:
    for turn in range(2):
        with serve(Service(FolderFiles(str(tmp_path)))) as service:
            if turn == 0:
                give(service)
            assert ask(service, "GET", f"{BLOBS}/{DIGEST}")[1] == b"hello"


def test_a_token_for_one_repository_opens_no_other() -> None:
    with serve(Service(login=("demo", "demo"))) as service:
        authorization = {"Authorization": "Basic ZGVtbzpkZW1v"}
        _, body = ask(service, "GET", "/token?scope=repository:app:pull", headers=authorization)
        bearer = {"Authorization": f"Bearer {json.loads(body)['token']}"}
        assert ask(service, "GET", "/v2/app/tags/list", headers=bearer)[0].status == 404
        assert ask(service, "GET", "/v2/other/tags/list", headers=bearer)[0].status == 401
        response, _ = ask(service, "POST", f"{BLOBS}/uploads/", headers=bearer)
        assert response.status == 401
        assert 'scope="repository:app:pull,push"' in response.headers["WWW-Authenticate"]


def test_the_program_says_where_it_listens() -> None:
    command = [sys.executable, "-m", "demo.registry", "--token-auth"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        address = process.stdout.readline().strip()
        status = ask(Service(address=address), "GET", "/v2/")[0].status
        process.terminate()
    assert status == 401
