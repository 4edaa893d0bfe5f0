"""HTTP connections, kept open. Importing this module is slow; it is imported when the first request is sent.

``http.client`` of the standard library does the protocol. Redirects, repeated attempts and decompression are not its
business, and none of ours here.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sized
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from ocibuild.errors import RegistryError
from ocibuild.registry.http.breakage import breakage
from ocibuild.registry.http.proxies import proxy_for
from ocibuild.registry.http.tls import tls_context
from ocibuild.registry.http.wire import Route, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ocibuild.registry.configuration.config import RegistryConfig
    from ocibuild.registry.http.messages import Request
    from ocibuild.registry.http.pace import PacedResponse
    from ocibuild.registry.http.retry import RetryPolicy

_IDLE = 16  # wires kept open to one host
_WORTH_READING = 64 << 10  # bytes; a new connection costs more
_ERROR_LIMIT = 64 << 10  # bytes
_BROKEN = (OSError, HTTPException, ValueError)


class Connections:
    """Open connections to every host, each with the TLS settings that the configuration gives it."""

    def __init__(self, config: RegistryConfig, policy: RetryPolicy) -> None:
        self._config = config
        self._policy = policy
        self._routes: dict[tuple[str, str], Route] = {}
        self._idle: dict[Route, list[Wire]] = {}
        self._wires: weakref.WeakSet[Wire] = weakref.WeakSet()
        self._is_closed = False
        self._lock = threading.Lock()  # guards the four above
        weakref.finalize(self, _close_all, self._idle)  # where nobody calls close()

    def send(self, request: Request) -> Stream:
        """Send ``request`` once and return the response, its body unread; raises RegistryError where there is none."""
        parts = urlsplit(request.url)
        host = parts.netloc.rpartition("@")[2]
        try:
            route = self._route(parts.scheme, host)
            wire = self._take(route)
        except ValueError as error:
            raise breakage(error, request.subject, host) from error
        try:
            response = wire.exchange(request.method, request.url, request.body, _headers(request))
        except BaseException as error:
            wire.close()
            if isinstance(error, _BROKEN):
                raise breakage(error, request.subject, host) from error
            raise
        return Stream(response, request, partial(self._give_back, route, wire))

    def close(self) -> None:
        """Cut every connection; who waits for one gets a RegistryError. Safe to repeat."""
        with self._lock:
            self._is_closed = True
            for wire in self._wires:
                wire.cut()
            _close_all(self._idle)

    def _route(self, scheme: str, host: str) -> Route:
        with self._lock:
            if (scheme, host) not in self._routes:
                self._routes[scheme, host] = self._new_route(scheme, host)
            return self._routes[scheme, host]

    def _new_route(self, scheme: str, host: str) -> Route:
        insecure = self._config.host(host).insecure
        context = tls_context(self._config.certificates(host), insecure=insecure) if scheme == "https" else None
        return Route(scheme, host, proxy_for(scheme, host, os.environ), context)

    def _take(self, route: Route) -> Wire:
        """Return an idle wire that still works, else a new one."""
        while True:
            with self._lock:
                idle = self._idle.get(route)
                wire = idle.pop() if idle else None
            if wire is None:
                break
            if wire.is_usable():
                return wire
            wire.close()
        wire = Wire(route, self._policy)
        with self._lock:
            self._wires.add(wire)
            if self._is_closed:
                wire.cut()
        return wire

    def _give_back(self, route: Route, wire: Wire, is_whole: bool) -> None:  # noqa: FBT001  (the one word of a callback)
        with self._lock:
            idle = self._idle.setdefault(route, [])
            if is_whole and not self._is_closed and len(idle) < _IDLE:
                idle.append(wire)
                return
        wire.close()


class Stream:
    """A response whose body comes piece by piece; close it, or use it as a context manager.

    ``headers`` ignores the case of names; a header that came several times has its values joined with commas.
    """

    def __init__(self, response: PacedResponse, request: Request, give_back: Callable[[bool], None]) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = Headers(response.getheaders())
        self.url = request.url
        self._response = response
        self._subject = request.subject
        self._give_back: Callable[[bool], None] | None = give_back

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes as they were sent, empty at the end; raises RegistryError where it breaks."""
        try:
            return self._response.read_some(size)
        except _BROKEN as error:
            raise breakage(error, self._subject, urlsplit(self.url).netloc) from error

    def read_all(self, limit: int) -> bytes:
        """Return the whole body; raises RegistryError where it has more than ``limit`` bytes.

        An error is what its status says, however much is said about it: of that the beginning is returned.
        """
        is_error = self.status >= 400
        pieces: list[bytes] = []
        left = min(limit, _ERROR_LIMIT) if is_error else limit + 1
        while left and (piece := self.read(left)):
            pieces.append(piece)
            left -= len(piece)
        if not left and not is_error:
            raise RegistryError(
                f"{self._subject}: the registry sends more than the {limit} bytes allowed here", status=self.status
            )
        return b"".join(pieces)

    def close(self) -> None:
        """Let go of the connection: it is used again where the body was read to its end. Safe to repeat."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            is_whole = self._response.has_ended() and not self._response.will_close
            self._response.close()
            give_back(is_whole)

    def drain(self) -> None:
        """Close; a short body is read to its end before, so that the connection can be used again."""
        with self, suppress(RegistryError):
            self.read_all(_WORTH_READING)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Headers(dict[str, str]):
    """The headers of an answer by name in lower case; asked for in any."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        for name, value in pairs:
            key = name.lower()
            self[key] = f"{super().__getitem__(key)}, {value}" if key in self else value

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a header."""
        return super().get(name.lower(), default)


def _close_all(idle: dict[Route, list[Wire]]) -> None:
    for wires in idle.values():
        for wire in wires:
            wire.close()
    idle.clear()


def _headers(request: Request) -> dict[str, str]:
    from ocibuild import __version__

    headers = {
        "User-Agent": f"ocibuild/{__version__}",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        **request.headers,
    }
    if isinstance(request.body, Sized):  # others are sent with chunked transfer coding
        headers["Content-Length"] = str(len(request.body))
    return headers
