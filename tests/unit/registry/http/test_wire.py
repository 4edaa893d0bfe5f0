from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from demo.registry import serve
from ocibuild.registry.http.wire import ProxyFailed, Route, Wire
from tests.unit.registry.conftest import QUICK
from tests.unit.registry.scripts import reply

if TYPE_CHECKING:
    from demo.registry import Handler


def refuse_connect(handler: Handler) -> None:
    handler.body = iter(())
    reply(handler, 403, b"no way")


def test_a_proxy_that_makes_no_tunnel_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.registry.Handler.do_CONNECT", refuse_connect, raising=False)
    with serve() as proxy:
        route = Route("https", "registry.invalid", f"http://{proxy.address}", ssl.create_default_context())
        wire = Wire(route, QUICK)
        with pytest.raises(ProxyFailed):
            wire.exchange("GET", "https://registry.invalid/v2/", None, {})
        response = wire._response
        assert response is not None
        assert response.isclosed()
        wire.close()
