from __future__ import annotations

import base64
import traceback
from typing import TYPE_CHECKING

import pytest

from demo.registry import Service, serve
from ocibuild.errors import ConfigError, RegistryError
from ocibuild.registry import Credentials, Password, Registry, RegistryConfig
from ocibuild.registry.configuration.config import HostConfig
from ocibuild.registry.http.proxies import proxy_for
from tests.support.authority import Authority
from tests.support.proxy import Proxy, serve_proxy
from tests.unit.registry.conftest import QUICK
from tests.unit.registry.scripts import reply

if TYPE_CHECKING:
    from pathlib import Path

NAME = "registry.invalid"  # a name that no resolver knows (RFC 2606)
ANNA = Password("anna", "hush")
PROXY_USER = {"user": "walter", "password": "open-sesame"}


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("scheme", "environ", "proxy"),
    [
        ("https", {}, None),
        ("https", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https", {"HTTP_PROXY": "http://p:1"}, None),
        ("http", {"HTTP_PROXY": "p:1"}, "http://p:1"),
        ("http", {"HTTP_PROXY": "http://p:1", "http_proxy": "http://q:1"}, "http://q:1"),
        ("https", {"ALL_PROXY": "http://p"}, "http://p"),
        ("https", {"HTTPS_PROXY": " "}, None),
    ],
)
def test_the_environment_names_the_proxy(scheme: str, environ: dict[str, str], proxy: str | None) -> None:
    assert proxy_for(scheme, NAME, environ) == proxy


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"])
def test_loopback_has_no_proxy(host: str) -> None:
    assert proxy_for("http", host, {"HTTP_PROXY": "http://p:1"}) is None


@pytest.mark.parametrize(
    ("host", "exceptions", "is_excepted"),
    [
        ("r.example", "*", True),
        ("r.example", "r.example", True),
        ("r.example", "a.example, R.Example", True),
        ("r.example", "example", True),
        ("r.example", ".example", True),
        ("r.example", "*.example", True),
        ("example", ".example", False),
        ("r.example", "ample", False),
        ("r.example:5000", "r.example", True),
        ("r.example:5000", "r.example:5000", True),
        ("r.example", "r.example:443", True),
        ("r.example", "r.example:5000", False),
        ("r.example", "", False),
        ("r.example", ",", False),
        ("10.1.2.3:5000", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3:5000", "10.1.2.3:5000", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("110.1.2.3", "10.1.2.3", False),
        ("[fd00::1]:5000", "fd00::/8", True),
        ("[fd00::1]:5000", "fd00::1", True),
        ("[fd00::1]:5000", "[fd00::1]:5000", True),
        ("[fd00::1", "fd00::1", False),
    ],
)
def test_exceptions(host: str, exceptions: str, is_excepted: bool) -> None:
    environ = {"HTTPS_PROXY": "http://p:1", "NO_PROXY": exceptions}
    assert (proxy_for("https", host, environ) is None) == is_excepted


@pytest.mark.parametrize(
    "url", ["socks5://walter:open-sesame@p", "http://walter:open-sesame@[", "http://walter:open-sesame@p:x", "http://"]
)
def test_a_proxy_of_another_kind_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError, match="HTTPS_PROXY: not the address of an HTTP proxy") as caught:
        proxy_for("https", NAME, {"HTTPS_PROXY": url})
    assert "sesame" not in "".join(traceback.format_exception(caught.value))


def login(host: str, config: HostConfig) -> None:
    with Registry(RegistryConfig({host: config}), Credentials(), policy=QUICK) as registry:
        registry.check_login(host, ANNA)


def test_a_registry_behind_a_proxy_is_verified_for_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority.make(tmp_path)
    good = authority.issue("good", f"DNS:{NAME}").server_context()
    bad = authority.issue("bad", "IP:127.0.0.1", "DNS:other.invalid").server_context()
    with serve(tls=good) as service, serve(tls=bad) as other:
        hosts = {f"{NAME}:443": service.address, f"other.{NAME}:443": other.address}
        with serve_proxy(Proxy(hosts)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
            login(NAME, HostConfig(ca=(str(authority.own.cert),)))
            assert [(asked.method, asked.target) for asked in proxy.asked] == [("CONNECT", f"{NAME}:443")]
            with pytest.raises(RegistryError, match=r"certificate of .* is not trusted"):
                login(f"other.{NAME}", HostConfig(ca=(str(authority.own.cert),)))
            with pytest.raises(RegistryError, match=r"certificate of .* is not trusted"):
                login(NAME, HostConfig())
    assert len(service.seen) == 1
    assert other.seen == []


def test_a_plain_registry_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve() as service, serve_proxy(Proxy({f"{NAME}:5000": service.address})) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.address)
        login(f"{NAME}:5000", HostConfig(http=True))
        assert [asked.target for asked in proxy.asked] == [f"http://{NAME}:5000/v2/"]
        login(service.address, HostConfig())
        assert len(proxy.asked) == 1, "loopback never goes there"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_user_of_a_proxy_is_shown_to_the_proxy_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    authority = Authority.make(tmp_path)
    tls = authority.issue("server", f"DNS:{NAME}").server_context() if scheme == "https" else None
    expected = "Basic " + base64.b64encode(":".join(PROXY_USER.values()).encode()).decode()
    service = Service(login=("anna", "hush"))
    settings = HostConfig(http=scheme == "http", ca=(str(authority.own.cert),))
    with serve(service, tls=tls), serve_proxy(Proxy({f"{NAME}:5000": service.address}, expected)) as proxy:
        service.intercept = lambda handler: handler.path == "/v2/" and reply(handler, 200)
        for user, is_let_through in (("walter:open-sesame", True), ("walter:wrong-sesame", False), ("", False)):
            monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://{user}@{proxy.address}")
            if is_let_through:
                login(f"{NAME}:5000", settings)
                continue
            with pytest.raises(RegistryError) as caught:
                login(f"{NAME}:5000", settings)
            assert "sesame" not in "".join(traceback.format_exception(caught.value))
    assert len(service.seen) == 1
    assert all("Proxy-Authorization" not in one.headers for one in service.seen)


def test_a_proxy_that_is_not_there_is_said_to_be_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://walter:open-sesame@127.0.0.1:1")
    with pytest.raises(RegistryError, match="the proxy does not lead to") as caught:
        login(NAME, HostConfig())
    assert "sesame" not in "".join(traceback.format_exception(caught.value))
