"""A token server on loopback, as distribution's token specification has it: it signs its tokens with openssl."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.support.peers import require_peer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.authority import Authority

SERVICE = "test-registry"
ISSUER = "test-issuer"


class Asked(NamedTuple):
    """A request for a token: its parameters, of the query or the form."""

    method: str
    parameters: dict[str, list[str]]
    authorization: str


@dataclass(slots=True)
class TokenServer:
    """``signer`` must have an RSA key. ``refresh`` is the refresh token for whom asks for one; it is taken too."""

    signer: Authority
    user: str = "anna"
    password: str = "hush"
    refresh: str = ""
    seconds: int = 300
    realm: str = ""
    asked: list[Asked] = field(default_factory=list)

    def settings(self) -> str:
        """Return the part of docker-registry's configuration that makes it trust this server."""
        return f"""\
auth:
  token:
    realm: {self.realm}
    service: {SERVICE}
    issuer: {ISSUER}
    rootcertbundle: {self.signer.own.cert}
"""

    def may(self, asked: Asked) -> bool:
        """Tell whether the request comes from the user."""
        if asked.method == "POST":
            return bool(self.refresh) and asked.parameters.get("refresh_token") == [self.refresh]
        expected = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return asked.authorization == f"Basic {expected}"

    def answer(self, asked: Asked) -> dict[str, Any]:
        """Return the token for the scopes that were asked for."""
        scopes = [scope for text in asked.parameters.get("scope", []) for scope in text.split()]
        token = self._sign(scopes)
        answer: dict[str, Any] = {"token": token, "access_token": token, "expires_in": self.seconds}
        if self.refresh and asked.parameters.get("offline_token") == ["true"]:
            answer["refresh_token"] = self.refresh
        return answer

    def _sign(self, scopes: list[str]) -> str:
        certificate = ssl.PEM_cert_to_DER_cert(self.signer.own.cert.read_text())
        head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(certificate).decode()]}
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": self.user,
            "aud": SERVICE,
            "nbf": now - 10,
            "iat": now,
            "exp": now + self.seconds,
            "jti": str(len(self.asked)),
            "access": [_access(scope) for scope in scopes],
        }
        text = ".".join(_encode(json.dumps(part).encode()) for part in (head, claims))
        command = [require_peer("openssl"), "dgst", "-sha256", "-sign", str(self.signer.own.key)]
        done = subprocess.run(command, input=text.encode(), capture_output=True, check=True)
        return f"{text}.{_encode(done.stdout)}"


def _access(scope: str) -> dict[str, Any]:
    resource, _, actions = scope.rpartition(":")
    kind, _, name = resource.partition(":")
    return {"type": kind, "name": name, "actions": actions.split(",")}


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@contextmanager
def serve_tokens(server: TokenServer, *, tls: ssl.SSLContext | None = None) -> Iterator[TokenServer]:
    """Run it for the length of the block; ``realm`` is then its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._give(Asked("GET", parse_qs(urlsplit(self.path).query), self.headers.get("Authorization", "")))

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            self._give(Asked("POST", parse_qs(form), self.headers.get("Authorization", "")))

        def _give(self, asked: Asked) -> None:
            server.asked.append(asked)
            may = server.may(asked)
            body = json.dumps(server.answer(asked) if may else {"errors": [{"code": "UNAUTHORIZED"}]}).encode()
            self.send_response(200 if may else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    if tls:
        listening.socket = tls.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
    server.realm = f"{'https' if tls else 'http'}://127.0.0.1:{listening.server_port}/token"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def htpasswd_settings(folder: Path, user: str, password: str) -> str:
    """Return the part of docker-registry's configuration with which it asks for this password (basic)."""
    path = folder / "htpasswd"
    command = [require_peer("htpasswd"), "-i", "-B", "-n", "-C", "4", user]
    done = subprocess.run(command, input=password.encode(), capture_output=True, check=True)
    path.write_bytes(done.stdout)
    return f"auth:\n  htpasswd:\n    realm: test\n    path: {path}\n"


def tls_settings(cert: Path, key: Path, *client_authorities: Path) -> str:
    """Return the part of docker-registry's configuration with which it speaks TLS, to clients with certificates."""
    lines = ["  tls:", f"    certificate: {cert}", f"    key: {key}"]
    if client_authorities:
        lines += ["    clientcas:", *(f"      - {path}" for path in client_authorities)]
    return "\n".join(lines) + "\n"
