"""A web server on loopback for ADD: files of the cases, and their Git repositories."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tests.support.peers import require_peer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve ``/FILE/CASE/PATH`` from ``folder/FILE/CASE/www/PATH``; the value is the address, ``127.0.0.1:PORT``."""
    git = require_peer("git")

    class Handler(_Handler):
        root = folder
        program = git

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(SimpleHTTPRequestHandler):
    """Files as the standard library serves them; below a folder ``*.git``, what git's own program says."""

    root: Path
    program: str

    def translate_path(self, path: str) -> str:
        words = [word for word in unquote(urlsplit(path).path).split("/") if word and word not in {".", ".."}]
        return str(self.root.joinpath(*words[:2], "www", *words[2:]))

    def do_GET(self) -> None:
        if ".git/" in self.path:
            self._ask_git()
        else:
            super().do_GET()

    def do_POST(self) -> None:
        self._ask_git()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the parameter has this name)
        pass

    def _ask_git(self) -> None:
        """Answer as a CGI program does: git-http-backend(1)."""
        query = urlsplit(self.path).query
        environ = {
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_PROJECT_ROOT": "/",
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "PATH_INFO": self.translate_path(self.path),
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        asked = self._body()
        command = [self.program, "http-backend"]
        answer = subprocess.run(command, input=asked, env=environ, capture_output=True, check=False).stdout
        head, _, body = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        """Return what was sent, in one piece or in chunks, as git sends what is long."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body
