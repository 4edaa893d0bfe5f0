"""A web proxy on loopback that leads to servers of the tests, and records what was asked of it."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Asked(NamedTuple):
    """A request: its method, what it is for (``HOST:PORT`` or a URL), and who asks."""

    method: str
    target: str
    authorization: str | None


@dataclass(slots=True)
class Proxy:
    """``hosts`` are the names that only it resolves, each with the address of its server; others are refused.

    With ``authorization`` it lets nobody through who does not send this ``Proxy-Authorization``.
    """

    hosts: Mapping[str, str]
    authorization: str | None = None
    address: str = ""
    asked: list[Asked] = field(default_factory=list)

    def connect(self, host: str) -> socket.socket | None:
        """Return a connection to the server called ``host`` here."""
        address = self.hosts.get(host)
        if address is None:
            return None
        name, _, port = address.rpartition(":")
        return socket.create_connection((name, int(port)), timeout=10)


@contextmanager
def serve_proxy(proxy: Proxy) -> Iterator[Proxy]:
    """Run it for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if self.raw_requestline and self.parse_request():
                self._lead()
            self.close_connection = True

        def _lead(self) -> None:
            shown = self.headers.get("Proxy-Authorization")
            proxy.asked.append(Asked(self.command, self.path, shown))
            if proxy.authorization not in (None, shown):
                self.send_error(407)
                return
            is_tunnel = self.command == "CONNECT"
            server = proxy.connect(self.path if is_tunnel else urlsplit(self.path).netloc)
            if server is None:
                self.send_error(502)
                return
            with server:
                if is_tunnel:
                    self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    server.sendall(self._request())
                self._join(server)

        def _request(self) -> bytes:
            parts = urlsplit(self.path)
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            del self.headers["Proxy-Authorization"]
            self.headers["Connection"] = "close"
            lines = [f"{self.command} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in self.headers.items())]
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return "\r\n".join([*lines, "", ""]).encode() + body

        def _join(self, server: socket.socket) -> None:
            up = threading.Thread(target=_copy, args=(self.connection, server), daemon=True)
            up.start()
            _copy(server, self.connection)
            up.join()

        def log_message(self, *_: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    proxy.address = f"127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
