"""What it means that a connection broke, as an error that a user understands."""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPException, LineTooLong

from ocibuild.errors import RegistryError
from ocibuild.registry.http.pace import TooSlow
from ocibuild.registry.http.wire import ProxyFailed

# how OpenSSL names a server's alerts about certificates of clients
_OF_CLIENTS = frozenset({"TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE", "TLSV1_ALERT_UNKNOWN_CA"})


def breakage(error: Exception, subject: str, host: str) -> RegistryError:
    """Return what went wrong on the way, named by its first cause: the libraries' own text is long."""
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return _tls_failure(causes, subject, host)
    if any(isinstance(cause, ProxyFailed) for cause in causes):
        return RegistryError(
            f"{subject}: the proxy does not lead to {host}", retryable=True, remedy="check HTTP_PROXY and HTTPS_PROXY"
        )
    if any(isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME for cause in causes):
        return RegistryError(f"{subject}: there is no host {host}", remedy="check the name and the network")
    reason = next((cause.strerror for cause in reversed(causes) if isinstance(cause, OSError) and cause.strerror), None)
    if reason:
        return RegistryError(
            f"{subject}: cannot reach {host}: {reason}", retryable=True, remedy="check the name and the network"
        )
    if any(isinstance(cause, LineTooLong) or type(cause) is HTTPException for cause in causes):
        return RegistryError(f"{subject}: {host} sends more headers, or longer ones, than is allowed")
    if any(isinstance(cause, TooSlow) for cause in causes):
        return RegistryError(f"{subject}: {host} sends too slowly", retryable=True)
    if any(isinstance(cause, TimeoutError) for cause in causes):
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
        error = error.__cause__ or error.__context__
    return causes
