from __future__ import annotations

import os
import stat
from base64 import b64encode
from hashlib import sha512
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import Interrupted, SourceError
from ocibuild.oci import Digest
from ocibuild.registry import RegistryConfig, RetryPolicy, Transport
from ocibuild.source.http import HttpSource
from ocibuild.store import Store
from tests.support.web import Page, Web, serve_web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.store import Download

MODIFIED = "Wed, 03 Feb 2021 04:05:06 GMT"
SECONDS = 1_612_325_106


@pytest.fixture
def web() -> Iterator[Web]:
    with serve_web() as web:
        yield web


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def source(store: Store) -> Iterator[HttpSource]:
    source = HttpSource(Transport(RegistryConfig(), RetryPolicy(attempts=3, first=0, longest=0)), store)
    yield source
    source.stop()


def find(source: HttpSource, url: str, checksum: Digest | None = None) -> Download:
    return source.find(url, checksum, lambda _done, _total: None)


def read(store: Store, found: Download) -> bytes:
    with store.blobs.open(found.digest) as blob:
        return blob.read()


def test_a_file_comes_into_the_store(source: HttpSource, store: Store, web: Web) -> None:
    content = os.urandom(3 << 20)
    told: list[tuple[int, int | None]] = []
    found = source.find(web.put("/f", content), None, lambda done, total: told.append((done, total)))
    assert found.digest == Digest.of(content)
    assert read(store, found) == content
    assert told[-1] == (len(content), len(content))
    assert web.seen[0].headers["User-Agent"].startswith("ocibuild/")


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        ({"ETag": '"1"'}, ("If-None-Match", '"1"')),
        ({"ETag": 'W/"1"', "Last-Modified": MODIFIED}, ("If-None-Match", 'W/"1"')),
        ({"Last-Modified": MODIFIED}, ("If-Modified-Since", MODIFIED)),
    ],
    ids=["etag", "weak", "time"],
)
def test_a_file_that_has_not_changed_is_not_sent_again(
    source: HttpSource, store: Store, web: Web, headers: dict[str, str], asked: tuple[str, str]
) -> None:
    url = web.put("/f", Page(b"one", headers=headers), Page(status=304), Page(b"two", headers=headers))
    first = find(source, url)
    assert find(source, url) == first
    assert web.seen[1].headers[asked[0]] == asked[1]


def test_a_file_that_has_changed_is_fetched(source: HttpSource, store: Store, web: Web) -> None:
    url = web.put("/f", Page(b"one", headers={"ETag": '"1"'}), Page(b"two", headers={"ETag": '"2"'}))
    find(source, url)
    assert read(store, find(source, url)) == b"two"
    assert web.seen[1].headers["If-None-Match"] == '"1"'


def test_a_server_that_sends_the_same_again_is_not_listened_to(source: HttpSource, store: Store, web: Web) -> None:
    page = Page(b"one", headers={"ETag": '"1"'})
    url = web.put("/f", page)
    find(source, url)
    web.put("/f", Page(b"two", 200, {"etag": '"1"'}))
    assert read(store, find(source, url)) == b"one"


def test_an_etag_that_no_request_can_hold_does_no_harm(source: HttpSource, store: Store, web: Web) -> None:
    url = web.put("/f", Page(b"one", headers={"ETag": "\xa01"}), b"two")
    find(source, url)
    assert read(store, find(source, url)) == b"two"


def test_a_new_files_time_does_not_tell_it_from_the_next(source: HttpSource, store: Store, web: Web) -> None:
    from email.utils import formatdate

    headers = {"Last-Modified": formatdate(usegmt=True)}
    url = web.put("/f", Page(b"one", headers=headers), Page(b"two", headers=headers))
    find(source, url)
    assert read(store, find(source, url)) == b"two"
    assert "If-Modified-Since" not in web.seen[1].headers


def test_a_blob_that_is_gone_is_fetched_again(source: HttpSource, store: Store, web: Web) -> None:
    url = web.put("/f", Page(b"one", headers={"ETag": '"1"'}))
    os.unlink(store.blobs.path(find(source, url).digest))
    assert read(store, find(source, url)) == b"one"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_file_with_a_checksum_is_fetched_once(source: HttpSource, store: Store, web: Web, algorithm: str) -> None:
    checksum = Digest.of(b"one") if algorithm == "sha256" else Digest.parse(f"sha512:{sha512(b'one').hexdigest()}")
    url = web.put("/f", Page(b"one", headers={"Last-Modified": MODIFIED}), b"two")
    first = find(source, url, checksum)
    assert find(source, "http://127.0.0.1:1/elsewhere", checksum) == first
    assert first.modified == MODIFIED
    assert len(web.seen) == 1


def test_a_wrong_checksum_keeps_nothing(source: HttpSource, store: Store, web: Web) -> None:
    with pytest.raises(SourceError, match=f"/f: its digest is {Digest.of(b'two')}, not {Digest.of(b'one')}"):
        find(source, web.put("/f", b"two"), Digest.of(b"one"))
    assert list(store.blobs) == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(source: HttpSource, store: Store, web: Web, status: int) -> None:
    web.put("/b", b"there")
    url = web.put("/a", Page(status=status, headers={"Location": "/b"}))
    assert read(store, find(source, url)) == b"there"


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("file:///etc/passwd", "leads to file:"),
        ("ftp://127.0.0.1/f", "leads to ftp:"),
        ("gopher:x", "leads to gopher:"),
        ("http://127.0.0.1:99999/", "leads to what is not a URL"),
        ("/a", "more than 10 redirects"),
    ],
)
def test_a_redirect_leads_only_to_the_web(source: HttpSource, web: Web, location: str, message: str) -> None:
    url = web.put("/a", Page(status=302, headers={"Location": location}))
    with pytest.raises(SourceError, match=message):
        find(source, url)


def test_a_password_goes_to_its_own_host_alone_and_is_not_shown(source: HttpSource, store: Store, web: Web) -> None:
    with serve_web() as other:
        other.put("/f", b"there")
        web.put("/a", Page(status=302, headers={"Location": "/b"}))
        web.put("/b", Page(status=302, headers={"Location": other.url("/f")}))
        find(source, f"http://me:s3%20cret@{web.address}/a")
        expected = f"Basic {b64encode(b'me:s3 cret').decode()}"
        assert [seen.headers.get("Authorization") for seen in web.seen] == [expected, expected]
        assert "Authorization" not in other.seen[0].headers
    with pytest.raises(SourceError) as caught:
        find(source, f"http://me:s3cret@{web.address}/missing?token=s3cret")
    assert str(caught.value) == f"http://{web.address}/missing?…: 404 Not Found (check the URL)"
    assert not [path for path in Path(store.root, "web").iterdir() if b"s3cret" in path.read_bytes()]


def test_trouble_of_the_server_passes(source: HttpSource, store: Store, web: Web) -> None:
    url = web.put("/f", Page(status=503), Page(b"half of it", cut=4), b"whole")
    assert read(store, find(source, url)) == b"whole"


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (Page(status=503), "503 Service Unavailable"),
        (Page(status=403), "403 Forbidden"),
        (Page(status=599), ": 599"),
        (Page(b"abcdef", cut=3), "broke"),
    ],
    ids=["busy", "forbidden", "unknown", "cut"],
)
def test_trouble_that_stays_is_told(source: HttpSource, store: Store, web: Web, page: Page, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        find(source, web.put("/f", page))
    assert list(store.blobs) == []


@pytest.mark.parametrize("url", ["http://", "http://h:99999/f", "http://[::1/f", "https:///f"])
def test_what_is_no_url_is_refused(source: HttpSource, url: str) -> None:
    with pytest.raises(SourceError, match="makes no sense"):
        find(source, url)


def test_a_host_that_is_not_there_is_told(source: HttpSource) -> None:
    with pytest.raises(SourceError, match=r"http://127.0.0.1:1/f: cannot reach 127.0.0.1:1: Connection refused"):
        find(source, "http://127.0.0.1:1/f")


def test_nothing_is_fetched_after_a_stop(source: HttpSource, web: Web) -> None:
    source.stop()
    with pytest.raises(Interrupted):
        find(source, web.put("/f", b""))


@pytest.mark.parametrize(
    ("modified", "seconds"), [(MODIFIED, SECONDS), ("", 0), ("yesterday", 0)], ids=["given", "none", "nonsense"]
)
def test_a_file_is_its_owners_alone_and_has_the_servers_time(
    source: HttpSource, store: Store, web: Web, modified: str, seconds: int
) -> None:
    found = find(source, web.put("/f", Page(b"one", headers={"Last-Modified": modified} if modified else {})))
    with store.snapshots.begin() as active:
        source.put(found, "name", active)
        status = os.stat(os.path.join(active.upper, "name"))
        assert (stat.S_IMODE(status.st_mode), status.st_mtime, status.st_size) == (0o600, seconds, 3)
        assert stat.S_IMODE(os.stat(active.upper).st_mode) == 0o755
