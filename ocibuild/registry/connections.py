"""HTTP connections, kept open: the only place that knows ``urllib3``.

Importing this module is slow; it is imported when the first request is sent. ``urllib3`` is told to do as little as it
can: redirects, repeated attempts and decompression are not its business here.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import weakref
from contextlib import suppress
from http.client import HTTPException, LineTooLong
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import urllib3

from ocibuild.errors import ConfigError, RegistryError
from ocibuild.registry.pace import TooSlow, paced
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
_ERROR_LIMIT = 64 << 10  # bytes


class Connections:
    """Open connections to every host, each with the TLS settings that the configuration gives it."""

    def __init__(self, config: RegistryConfig, policy: RetryPolicy) -> None:
        self._config = config
        self._timeout = urllib3.Timeout(connect=policy.connect_timeout, read=policy.read_timeout)
        self._managers: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._lock = threading.Lock()  # guards the two above
        self._wires = _Wires(policy)

    def send(self, request: Request) -> Stream:
        """Send ``request`` once and return the response, its body unread; raises RegistryError where there is none."""
        parts = urlsplit(request.url)
        host = parts.netloc.rpartition("@")[2]
        try:
            response = self._manager(parts.scheme, host).urlopen(
                request.method,
                request.url,
                body=request.body,
                headers=_headers(request),
                timeout=self._timeout,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
                assert_same_host=False,
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _broken(error, request.subject, host) from error
        stream = Stream(response, request)
        with self._lock:
            self._streams.add(stream)
        return stream

    def close(self) -> None:
        """Close every connection; who waits for one gets a RegistryError. Safe to repeat."""
        with self._lock:
            for stream in self._streams:
                stream.abort()
            self._wires.cut()
            for manager in self._managers.values():
                manager.clear()

    def _manager(self, scheme: str, host: str) -> urllib3.PoolManager:
        with self._lock:
            if (scheme, host) not in self._managers:
                self._managers[scheme, host] = self._new_manager(scheme, host)
            return self._managers[scheme, host]

    def _new_manager(self, scheme: str, host: str) -> urllib3.PoolManager:
        settings = self._config.host(host)
        options: dict[str, Any] = {"maxsize": _CONNECTIONS}
        if scheme == "https":
            options["ssl_context"] = _tls_context(self._config.certificates(host), insecure=settings.insecure)
        if settings.insecure:
            options["cert_reqs"] = ssl.CERT_NONE
            options["assert_hostname"] = False
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        proxy = proxy_for(scheme, host, os.environ)
        manager = _proxy_manager(proxy, options) if proxy else urllib3.PoolManager(**options)
        self._wires.watch(manager)
        return manager


class Stream:
    """A response whose body comes piece by piece; close it, or use it as a context manager."""

    def __init__(self, response: urllib3.BaseHTTPResponse, request: Request) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.url = request.url
        self._response = response
        self._subject = request.subject

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes as they were sent, empty at the end; raises RegistryError where it breaks."""
        try:
            piece: bytes = self._response.read1(size, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _broken(error, self._subject, urlsplit(self.url).netloc) from error
        return piece

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
        """Let go of the connection: it is used again where the body was read to its end."""
        self._response.close()
        self._response.release_conn()

    def drain(self) -> None:
        """Close; a short body is read to its end before, so that the connection can be used again."""
        with self, suppress(RegistryError):
            self.read(_WORTH_READING)

    def abort(self) -> None:
        """Wake the thread that waits for more of the body: it gets a RegistryError."""
        with suppress(OSError, ValueError, RuntimeError, AttributeError):  # closed already, or an old urllib3
            self._response.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Wires:
    """The connections, also those of which no answer has come yet; safe to use from threads."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._paced = paced(policy)
        self._send_timeout = policy.read_timeout
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
            response_class = staticmethod(wires._paced)

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                with wires._lock:
                    wires._connections.add(self)

            def connect(self) -> None:
                super().connect()
                self.sock.settimeout(wires._send_timeout)  # from here on it is not for connecting
                with wires._lock:
                    if wires._is_cut:
                        raise BrokenPipeError

        return Watched


def _tls_context(certificates: Certificates, *, insecure: bool) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities (else Mozilla's) and these.

    Of several client certificates whose keys are of one kind, the first is shown.
    """
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not paths.capath:
        import certifi

        context.load_verify_locations(certifi.where())
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


def _headers(request: Request) -> dict[str, str]:
    headers = {"User-Agent": _user_agent(), "Accept": "*/*", "Accept-Encoding": "identity", **request.headers}
    if request.body is not None:
        headers["Content-Length"] = str(len(request.body))
    return headers


def _proxy_manager(proxy: str, options: dict[str, Any]) -> urllib3.ProxyManager:
    from urllib.parse import unquote

    parts = urlsplit(proxy)
    headers = None
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=user)
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return urllib3.ProxyManager(address, proxy_headers=headers, **options)


def _user_agent() -> str:
    from ocibuild import __version__

    return f"ocibuild/{__version__}"


def _broken(error: Exception, subject: str, host: str) -> RegistryError:
    """Return what went wrong on the way, named by its first cause: the libraries' own text is long."""
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLError | urllib3.exceptions.SSLError) for cause in causes):
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
    if any(isinstance(cause, LineTooLong) or type(cause) is HTTPException for cause in causes):
        return RegistryError(f"{subject}: {host} sends more headers, or longer ones, than is allowed")
    if any(isinstance(cause, TooSlow) for cause in causes):
        return RegistryError(f"{subject}: {host} sends too slowly", retryable=True)
    if any(isinstance(cause, urllib3.exceptions.TimeoutError | TimeoutError) for cause in causes):
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
    if any(isinstance(cause, ssl.SSLEOFError) for cause in causes):  # the alert that says why may be lost with it
        return RegistryError(
            f"{subject}: {host} breaks off the TLS connection",
            retryable=True,
            remedy=f'it may want a client certificate: name one with [[registry."{host}".keypair]]',
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
