"""Requests that survive the network: redirects, repeated attempts, pauses, and an end when we are told to stop."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from ocibuild.errors import Interrupted, RegistryError
from ocibuild.registry.http.messages import Answer, one_line
from ocibuild.registry.http.retry import RETRYABLE, Retries

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from ocibuild.registry.configuration.config import RegistryConfig
    from ocibuild.registry.http.connections import Connections, Stream
    from ocibuild.registry.http.messages import Request
    from ocibuild.registry.http.retry import RetryPolicy

    Sender: TypeAlias = Callable[[Request], Stream]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 10
SMALL = 1 << 20  # bytes; errors, tokens and what else is not a manifest


class Transport:
    """Sends requests for every host; safe to use from threads.

    The Authorization header never leaves the host it was made for: a redirect to another one goes without, and so
    does all that follows it.
    """

    def __init__(self, config: RegistryConfig, policy: RetryPolicy) -> None:
        self._config = config
        self._policy = policy
        self._stopped = threading.Event()
        self._lock = threading.Lock()  # guards _connections
        self._connections: Connections | None = None

    def ask(self, request: Request, *, limit: int = SMALL, again: bool = True) -> Answer:
        """Send ``request`` and read the whole answer, at most ``limit`` bytes, whatever its status.

        Attempts that failed are repeated, unless ``again`` is false. Raises RegistryError where no answer came: one
        that is not ``retryable`` where it was repeated.
        """
        retries = self.retries()
        while True:
            try:
                answer = self._ask_once(request, limit)
            except RegistryError as error:
                if not (again and error.retryable and retries.wait()):
                    error.retryable = error.retryable and not again
                    raise
                continue
            if not (again and answer.status in RETRYABLE and retries.wait(answer.headers.get("Retry-After"))):
                return answer

    def open(self, request: Request) -> Stream:
        """Send ``request`` once and return the response with its body unread, whatever its status.

        Redirects of GET and HEAD are followed. Raises RegistryError where no answer came.
        """
        for _ in range(_MOST_REDIRECTS + 1):
            stream = self.send(request)
            if stream.status not in _REDIRECTS or request.method not in ("GET", "HEAD"):
                return stream
            stream.drain()
            request = self._redirected(request, stream.headers.get("Location", ""))
        raise RegistryError(f"{request.subject}: more than {_MOST_REDIRECTS} redirects")

    def send(self, request: Request) -> Stream:
        """Send ``request`` once and return the response with its body unread; a redirect is not followed.

        Raises RegistryError where no answer came.
        """
        self.check_stopped()
        with self._lock:
            if self._connections is None:
                from ocibuild.registry.http.connections import Connections

                self._connections = Connections(self._config, self._policy)
        try:
            stream = self._connections.send(request)
        except RegistryError:
            self.check_stopped()
            raise
        if self._stopped.is_set():  # while the answer was on its way, when there was no stream to wake yet
            stream.close()
            raise Interrupted
        return stream

    def retries(self) -> Retries:
        """Return fresh patience for one operation."""
        return Retries(self._policy, self._pause)

    def stop(self) -> None:
        """End everything under way, which raises Interrupted, and close the connections; safe to repeat."""
        self._stopped.set()
        with self._lock:
            if self._connections:
                self._connections.close()

    def _ask_once(self, request: Request, limit: int) -> Answer:
        with self.open(request) as stream:
            return Answer(stream.status, stream.headers, stream.read_all(limit), stream.url)

    def _redirected(self, request: Request, location: str) -> Request:
        url = target_of(request.url, location, request.subject)
        if same_host(request.url, url):
            return replace(request, url=url)
        kept = {name: value for name, value in request.headers.items() if name.lower() != "authorization"}
        return replace(request, url=url, headers=kept)

    def _pause(self, seconds: float) -> None:
        self._stopped.wait(seconds)
        self.check_stopped()

    def check_stopped(self) -> None:
        """Raise Interrupted where ``stop()`` was called."""
        if self._stopped.is_set():
            raise Interrupted


def same_host(one: str, other: str) -> bool:
    """Tell whether two URLs have the same scheme, host and port."""
    return origin_of(one) == origin_of(other)


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port; raises RegistryError for what is no URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError as error:
        raise RegistryError(f"{one_line(url)!r} is not a URL") from error
    return parts.scheme, parts.hostname or "", port


def target_of(source: str, location: str, subject: str) -> str:
    """Return the URL that a ``Location`` header at ``source`` leads to.

    Raises RegistryError where a server may not send us there: what is no web address, or plain HTTP from HTTPS.
    """
    try:
        target = urljoin(source, location)
    except ValueError as error:
        raise RegistryError(f"{subject}: {one_line(location)!r} is not a URL") from error
    scheme, host, _ = origin_of(target)
    if scheme not in ("http", "https") or not host:
        raise RegistryError(f"{subject}: the registry sends us to {one_line(target)!r}, which is not a web address")
    if scheme == "http" and origin_of(source)[0] == "https":
        raise RegistryError(
            f"{subject}: the registry sends us from HTTPS to plain HTTP at {host}",
            remedy="a proxy in front of the registry may have to set X-Forwarded-Proto",
        )
    return target
