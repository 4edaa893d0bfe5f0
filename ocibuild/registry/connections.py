"""HTTP connections, kept open: the only place that knows ``requests``.

Importing this module is slow; it is imported when the first request is sent. ``requests`` is told to do as little as
it can: redirects, cookies, ``.netrc`` and decompression are not its business here.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import weakref
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from ocibuild.errors import ConfigError, RegistryError
from ocibuild.registry.proxies import proxy_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocibuild.registry.certificates import Certificates
    from ocibuild.registry.config import RegistryConfig
    from ocibuild.registry.messages import Request
    from ocibuild.registry.retry import RetryPolicy

_CONNECTIONS = 16  # kept open to one host
# how OpenSSL names a server's alerts about certificates of clients
_OF_CLIENTS = frozenset({"TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE", "TLSV1_ALERT_UNKNOWN_CA"})
_WORTH_READING = 64 << 10  # bytes; a new connection costs more


class Connections:
    """Open connections to every host, each with the TLS settings that the configuration gives it."""

    def __init__(self, config: RegistryConfig, policy: RetryPolicy) -> None:
        self._config = config
        self._timeouts = (policy.connect_timeout, policy.read_timeout)
        self._sessions: dict[str, requests.Session] = {}
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._lock = threading.Lock()  # guards the two above
        self._wires = _Wires()

    def send(self, request: Request) -> Stream:
        """Send ``request`` once and return the response, its body unread; raises RegistryError where there is none."""
        host = urlsplit(request.url).netloc.rpartition("@")[2]
        try:
            response = self._session(host).request(
                request.method,
                request.url,
                headers={"Accept-Encoding": "identity", **request.headers},
                data=request.body,
                timeout=self._timeouts,
                allow_redirects=False,
                stream=True,
                verify=not self._config.host(host).insecure,
                proxies=_proxies(host),
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _broken(error, request.subject, host) from error
        stream = Stream(response, request.subject)
        with self._lock:
            self._streams.add(stream)
        return stream

    def close(self) -> None:
        """Close every connection; who waits for one gets a RegistryError. Safe to repeat."""
        with self._lock:
            for stream in self._streams:
                stream.abort()
            self._wires.cut()
            for session in self._sessions.values():
                session.close()

    def _session(self, host: str) -> requests.Session:
        with self._lock:
            if host not in self._sessions:
                self._sessions[host] = self._new_session(host)
            return self._sessions[host]

    def _new_session(self, host: str) -> requests.Session:
        settings = self._config.host(host)
        context = _tls_context(self._config.certificates(host), insecure=settings.insecure)
        if settings.insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        session = requests.Session()
        session.trust_env = False  # no .netrc; proxies we look up ourselves
        session.headers.clear()
        session.headers["User-Agent"] = _user_agent()
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.auth = _no_other_credentials  # else a user in the URL would replace the Authorization header
        session.mount("http://", _Adapter(self._wires))
        session.mount("https://", _TlsAdapter(self._wires, context))
        return session


class Stream:
    """A response whose body comes piece by piece; close it, or use it as a context manager."""

    def __init__(self, response: requests.Response, subject: str) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.url: str = response.url
        self._raw = response.raw
        self._response = response
        self._subject = subject

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes as they were sent, empty at the end; raises RegistryError where it breaks."""
        try:
            piece: bytes = self._raw.read(size, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _broken(error, self._subject, urlsplit(self.url).netloc) from error
        return piece

    def read_all(self, limit: int) -> bytes:
        """Return the whole body; raises RegistryError where it has more than ``limit`` bytes."""
        pieces: list[bytes] = []
        left = limit + 1
        while left and (piece := self.read(left)):
            pieces.append(piece)
            left -= len(piece)
        if not left:
            raise RegistryError(
                f"{self._subject}: the registry sends more than the {limit} bytes allowed here", status=self.status
            )
        return b"".join(pieces)

    def close(self) -> None:
        """Let go of the connection: it is used again where the body was read to its end."""
        self._response.close()

    def drain(self) -> None:
        """Close; a short body is read to its end before, so that the connection can be used again."""
        with self, suppress(RegistryError):
            self.read(_WORTH_READING)

    def abort(self) -> None:
        """Wake the thread that waits for more of the body: it gets a RegistryError."""
        with suppress(OSError, ValueError, RuntimeError, AttributeError):  # closed already, or an old urllib3
            self._raw.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Wires:
    """The connections, also those of which no answer has come yet; safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the two below
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        self._is_cut = False

    def watch(self, manager: Any) -> None:
        """Let every connection that a pool manager of urllib3 opens from now on be one of these."""
        pools = manager.pool_classes_by_scheme
        manager.pool_classes_by_scheme = {scheme: self._watched_pool(pool) for scheme, pool in pools.items()}

    def cut(self) -> None:
        """Wake who waits for any of them, and let none be used that is opened later; safe to repeat."""
        with self._lock:
            self._is_cut = True
            for connection in self._connections:
                with suppress(OSError, AttributeError):  # not open yet, or closed already
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def _watched_pool(self, pool: type) -> type:
        return type(pool.__name__, (pool,), {"ConnectionCls": self._watched(pool.ConnectionCls)})  # type: ignore[attr-defined]

    def _watched(self, kind: Any) -> type:
        wires = self

        class Watched(kind):  # type: ignore[misc]
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                with wires._lock:
                    wires._connections.add(self)

            def connect(self) -> None:
                super().connect()
                with wires._lock:
                    if wires._is_cut:
                        raise BrokenPipeError

        return Watched


class _Adapter(HTTPAdapter):
    """Connections that can be cut."""

    def __init__(self, wires: _Wires) -> None:
        self._wires = wires
        super().__init__(pool_maxsize=_CONNECTIONS)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._wires.watch(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        is_new = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs)
        if is_new:
            self._wires.watch(manager)
        return manager


class _TlsAdapter(_Adapter):
    """Connections whose certificates are checked by one SSL context and nothing else."""

    def __init__(self, wires: _Wires, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(wires)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave the connection to the context; the base class would add another list of authorities."""


def _tls_context(certificates: Certificates, *, insecure: bool) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities (else those that ``requests`` brings) and these.

    Of several client certificates whose keys are of one kind, the first is shown.
    """
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not paths.capath:
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    for file in certificates.ca:
        try:
            context.load_verify_locations(file)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigError(f"{file}: cannot be used as `ca`: {error.strerror or error}") from error
    for pair in reversed(certificates.pairs):  # a later one takes the place of one of the same kind
        try:
            context.load_cert_chain(pair.cert, pair.key, password="")  # else OpenSSL would ask on the terminal
        except OSError as error:
            reason = error.strerror or error
            raise ConfigError(f"{pair.cert}, {pair.key}: no usable client certificate: {reason}") from error
    return context


def _no_other_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _proxies(host: str) -> dict[str, str]:
    """Return the environment's proxies for ``host``, by scheme."""
    found = {scheme: proxy_for(scheme, host, os.environ) for scheme in ("http", "https")}
    return {scheme: proxy for scheme, proxy in found.items() if proxy}


def _user_agent() -> str:
    from ocibuild import __version__

    return f"ocibuild/{__version__}"


def _broken(error: Exception, subject: str, host: str) -> RegistryError:
    """Return what went wrong on the way, named by its first cause: the libraries' own text is long."""
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLError | requests.exceptions.SSLError) for cause in causes):
        return _tls_failure(causes, subject, host)
    if any(isinstance(cause, urllib3.exceptions.ProxyError) for cause in causes):
        return RegistryError(
            f"{subject}: the proxy does not lead to {host}", retryable=True, remedy="check HTTP_PROXY and HTTPS_PROXY"
        )
    reason = next((cause.strerror for cause in reversed(causes) if isinstance(cause, OSError) and cause.strerror), None)
    if reason:
        return RegistryError(
            f"{subject}: cannot reach {host}: {reason}", retryable=True, remedy="check the name and the network"
        )
    if any(isinstance(cause, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError) for cause in causes):
        return RegistryError(f"{subject}: {host} does not answer in time", retryable=True)
    return RegistryError(f"{subject}: the connection to {host} broke", retryable=True)


def _tls_failure(causes: list[BaseException], subject: str, host: str) -> RegistryError:
    untrusted = next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if untrusted:
        return RegistryError(
            f"{subject}: the certificate of {host} is not trusted: {untrusted.verify_message}",
            remedy=f'name its authority as `ca` under [registry."{host}"] in the configuration file',
        )
    if any(isinstance(cause, ssl.SSLError) and cause.reason in _OF_CLIENTS for cause in causes):
        return RegistryError(
            f"{subject}: {host} wants a client certificate that it knows",
            remedy=f'name one with [[registry."{host}".keypair]] in the configuration file, or put it into certs.d',
        )
    return RegistryError(
        f"{subject}: {host} does not speak TLS with us",
        retryable=True,
        remedy=f'if it is plain HTTP, say `http = true` under [registry."{host}"] in the configuration file',
    )


def _causes(error: BaseException | None) -> list[BaseException]:
    causes: list[BaseException] = []
    while error is not None and error not in causes:
        causes.append(error)
        # urllib3 says what happened behind a proxy in an argument alone
        inner = next((argument for argument in error.args if isinstance(argument, BaseException)), None)
        error = error.__cause__ or error.__context__ or inner
    return causes
