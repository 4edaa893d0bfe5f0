"""One connection to one server: through a proxy where the environment names one, and with TLS where the URL says so."""

from __future__ import annotations

import select
import socket
import ssl
from contextlib import suppress
from functools import cached_property
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote, urlsplit

from ocibuild.registry.http.pace import PacedResponse
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocibuild.registry.http.messages import Body
    from ocibuild.registry.http.retry import RetryPolicy

_PORTS = {"http": 80, "https": 443}
_KEPT = "/%:=&?~+!$,;'@()*[]"  # in a request's target, beside letters and digits


class ProxyFailed(OSError):
    """The way to the proxy, or from there on, is closed."""


@dataclass(frozen=True, slots=True)
class Route:
    """How a server is reached: ``scheme``, ``host`` (with its port, where it has one), and the proxy's URL, if any.

    ``context`` is for the server's TLS.
    """

    scheme: str
    host: str
    proxy: str | None = None
    context: ssl.SSLContext | None = None

    @property
    def tunnels(self) -> bool:
        """Whether a proxy only passes bytes on."""
        return self.proxy is not None and self.scheme == "https"

    def address(self) -> tuple[str, int]:
        """Return name and port of the server; raises ValueError for what is none."""
        return _address(self.scheme, self.host)

    def first_stop(self) -> tuple[str, int]:
        """Return name and port of what we connect to."""
        if not self.proxy:
            return self.address()
        parts = urlsplit(self.proxy)
        return _address(parts.scheme, parts.netloc.rpartition("@")[2])


class Wire(HTTPConnection):
    """A connection, opened by its first request; one thread uses it, any may ``cut()`` it."""

    def __init__(self, route: Route, policy: RetryPolicy) -> None:
        super().__init__(*route.first_stop(), timeout=policy.connect_timeout)
        self._route = route
        self._policy = policy
        self._socket: socket.socket | None = None  # kept by us too: the base class forgets it before an answer is read
        self._response: PacedResponse | None = None  # the latest
        self._is_cut = False
        if route.tunnels:
            self.set_tunnel(*route.address(), headers=self._proxy_headers)

    def exchange(self, method: str, url: str, body: Body | bytes | None, headers: Mapping[str, str]) -> PacedResponse:
        """Send a request and return the answer once its headers are here.

        Raises OSError, HTTPException, ValueError, and what iterating the body raises; then the wire must be closed.
        """
        ours = {"Host": self._route.host, **headers, **({} if self._route.tunnels else self._proxy_headers)}
        try:
            self.request(method, self._target(url), body, ours)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError) as error:
            return self._early_answer(error)
        return self._answer()

    def connect(self) -> None:
        """Open the connection, in ``connect_timeout`` for each step."""
        try:
            super().connect()
        except OSError as error:
            if self._route.proxy:
                raise ProxyFailed from error
            raise
        finally:
            if self._response is not None:  # of a proxy that made a tunnel or did not: the base class leaves it open
                self._response.close()
        self._socket = self.sock
        if self._route.context is not None:
            name = self._route.address()[0]
            self._socket = self.sock = self._route.context.wrap_socket(self.sock, server_hostname=name)
        self.sock.settimeout(self._policy.read_timeout)
        if self._is_cut:
            raise BrokenPipeError

    def is_usable(self) -> bool:
        """Tell whether the server has left an idle connection open, and said nothing."""
        if self._is_cut or self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def cut(self) -> None:
        """Wake who waits for the server, from any thread; safe to repeat."""
        self._is_cut = True
        if self._socket is not None:
            with suppress(OSError):  # closed already
                self._socket.shutdown(socket.SHUT_RDWR)

    def response_class(self, *args: Any, **kwargs: Any) -> PacedResponse:  # type: ignore[override]
        """Make the response of a request, as the base class wants it."""
        self._response = PacedResponse(*args, policy=self._policy, **kwargs)
        return self._response

    def _answer(self) -> PacedResponse:
        return cast("PacedResponse", self.getresponse())

    def _early_answer(self, error: OSError) -> PacedResponse:
        """Return what a server said that did not want to hear all; raises ``error`` where it said nothing."""
        try:
            response = self._answer()
        except ssl.SSLError:
            raise  # the alert that says why
        except Exception:  # noqa: BLE001  (whatever it is, it comes of the first error)
            raise error from None
        response.will_close = True
        return response

    def _target(self, url: str) -> str:
        """Return what a request asks for: with a proxy that reads it, the whole URL."""
        parts = urlsplit(url)
        target = quote(parts.path or "/", safe=_KEPT) + (f"?{quote(parts.query, safe=_KEPT)}" if parts.query else "")
        is_read = self._route.proxy and not self._route.tunnels
        return f"{self._route.scheme}://{self._route.host}{target}" if is_read else target

    @cached_property
    def _proxy_headers(self) -> dict[str, str]:
        parts = urlsplit(self._route.proxy or "")
        if parts.username is None:
            return {}
        from base64 import b64encode

        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return {"Proxy-Authorization": f"Basic {b64encode(user.encode()).decode()}"}


def _address(scheme: str, host: str) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    return parts.hostname or "", parts.port or _PORTS[scheme]
