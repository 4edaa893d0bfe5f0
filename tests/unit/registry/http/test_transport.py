from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from demo.registry import Service, serve
from ocibuild.errors import Interrupted, RegistryError
from ocibuild.registry.configuration.config import RegistryConfig
from ocibuild.registry.http.messages import Request
from ocibuild.registry.http.retry import RetryPolicy
from ocibuild.registry.http.transport import Transport, same_host, target_of
from tests.unit.registry.conftest import QUICK
from tests.unit.registry.scripts import reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demo.registry import Handler


@contextmanager
def transport(policy: RetryPolicy = QUICK) -> Iterator[Transport]:
    opened = Transport(RegistryConfig(), policy)
    try:
        yield opened
    finally:
        opened.stop()


def get(service: Service, path: str, **headers: str) -> Request:
    return Request("GET", f"http://{service.address}{path}", "subject", headers)


def redirect(location: str) -> Service:
    return Service(intercept=lambda handler: reply(handler, 307, b"see there", Location=location))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_asked_again(status: int) -> None:
    answers = iter([status, status, 200])
    service = Service(intercept=lambda handler: reply(handler, next(answers)))
    with serve(service), transport() as opened:
        assert opened.ask(get(service, "/")).status == 200


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 501])
def test_what_will_not_pass_is_asked_once(status: int) -> None:
    service = Service(intercept=lambda handler: reply(handler, status))
    with serve(service), transport() as opened:
        assert opened.ask(get(service, "/")).status == status
    assert len(service.seen) == 1


def test_attempts_end() -> None:
    service = Service(intercept=lambda handler: reply(handler, 503))
    with serve(service), transport() as opened:
        assert opened.ask(get(service, "/")).status == 503
    assert len(service.seen) == QUICK.attempts


def test_retry_after_is_waited_for() -> None:
    answers = iter([429, 200])
    service = Service(intercept=lambda handler: reply(handler, next(answers), Retry_After="1"))
    with serve(service), transport() as opened:
        start = time.monotonic()
        assert opened.ask(get(service, "/")).status == 200
        assert time.monotonic() - start >= 1


def test_a_connection_that_breaks_is_made_again() -> None:
    first = iter([True])

    def intercept(handler: Handler) -> bool:
        if next(first, False):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
            handler.close_connection = True
            return True
        handler.answer(200, b"whole")
        return True

    with serve(Service(intercept=intercept)) as service, transport() as opened:
        assert opened.ask(get(service, "/")).body == b"whole"


def test_a_redirect_to_another_host_goes_without_authorization() -> None:
    with serve() as cdn, serve(redirect(f"http://{cdn.address}/v2/")) as service, transport() as opened:
        answer = opened.ask(get(service, "/", Authorization="Bearer secret", Accept="x"))
    assert answer.status == 200
    assert service.seen[0].headers["Authorization"] == "Bearer secret"
    assert "Authorization" not in cdn.seen[0].headers
    assert cdn.seen[0].headers["Accept"] == "x"


def test_authorization_does_not_come_back_with_a_second_redirect() -> None:
    with serve() as home, serve(redirect(f"http://{home.address}/v2/")) as cdn:
        home.intercept = lambda handler: handler.path == "/" and reply(handler, 307, Location=f"http://{cdn.address}/")
        with transport() as opened:
            opened.ask(get(home, "/", Authorization="Bearer secret"))
    assert [one.headers.get("Authorization") for one in home.seen] == ["Bearer secret", None]


def test_a_redirect_on_the_same_host_keeps_authorization() -> None:
    with serve() as service, transport() as opened:
        service.intercept = lambda handler: handler.path == "/" and reply(handler, 302, Location="/v2/")
        opened.ask(get(service, "/", Authorization="Bearer secret"))
    assert [one.headers.get("Authorization") for one in service.seen] == ["Bearer secret", "Bearer secret"]


def test_a_loop_of_redirects_ends() -> None:
    with serve(redirect("/again")) as service, transport() as opened:
        with pytest.raises(RegistryError, match="more than 10 redirects"):
            opened.ask(get(service, "/"))
        assert len(service.seen) == 11


@pytest.mark.parametrize(
    ("source", "target", "complaint"),
    [
        ("https://a.example/", "http://a.example/", "from HTTPS to plain HTTP"),
        ("https://a.example/", "file:///etc/passwd", "not a web address"),
        ("https://a.example/", "https://a.example:port/", "not a URL"),
        ("https://a.example/", "https://[/", "not a URL"),
    ],
)
def test_a_server_may_not_send_us_anywhere(source: str, target: str, complaint: str) -> None:
    with pytest.raises(RegistryError, match=complaint):
        target_of(source, target, "subject")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.example/x", "https://a.example:443/y", True),
        ("https://a.example/", "https://A.EXAMPLE/", True),
        ("https://a.example/", "http://a.example/", False),
        ("https://a.example/", "https://a.example:444/", False),
        ("https://a.example/", "https://a.example@b.example/", False),
        ("https://a.example/", "https://sub.a.example/", False),
    ],
)
def test_a_host_is_scheme_name_and_port(one: str, other: str, *, same: bool) -> None:
    assert same_host(one, other) is same


def test_cookies_and_netrc_are_left_alone(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w") as file:
        file.write("machine 127.0.0.1 login anna password secret\n")
    monkeypatch.setenv("NETRC", netrc)
    with serve() as service, transport() as opened:
        service.intercept = lambda handler: reply(handler, 200, Set_Cookie="a=b; Path=/")
        opened.ask(get(service, "/"))
        opened.ask(get(service, "/"))
    assert all("Authorization" not in one.headers and "Cookie" not in one.headers for one in service.seen)


def test_proxies_are_not_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with serve() as service, transport() as opened:
        assert opened.ask(get(service, "/v2/")).status == 200


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"], ids=["nothing", "headers"])
def test_stop_wakes_who_waits_for_a_server(sent: bytes) -> None:
    silence = threading.Event()

    def intercept(handler: Handler) -> bool:
        handler.wfile.write(sent)
        handler.wfile.flush()
        return silence.wait(10)

    with serve(Service(intercept=intercept)) as service, transport(RetryPolicy()) as opened:
        threading.Timer(0.2, opened.stop).start()
        start = time.monotonic()
        with pytest.raises(Interrupted):
            opened.ask(get(service, "/"))
        silence.set()
    assert time.monotonic() - start < 5


def test_stop_ends_a_pause() -> None:
    service = Service(intercept=lambda handler: reply(handler, 503, Retry_After="30"))
    with serve(service), transport(RetryPolicy()) as opened:
        threading.Timer(0.2, opened.stop).start()
        start = time.monotonic()
        with pytest.raises(Interrupted):
            opened.ask(get(service, "/"))
    assert time.monotonic() - start < 5


def test_a_server_that_stalls_is_not_waited_for() -> None:
    silence = threading.Event()
    impatient = RetryPolicy(attempts=2, first=0.01, read_timeout=0.2)
    with serve(Service(intercept=lambda _: silence.wait(10))) as service, transport(impatient) as opened:
        with pytest.raises(RegistryError, match="does not answer in time"):
            opened.ask(get(service, "/"))
        silence.set()
