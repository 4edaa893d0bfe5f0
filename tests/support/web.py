"""A web server on loopback that does what a test tells it to, and serves Git repositories."""

from __future__ import annotations

import os
import subprocess
import threading
from base64 import b64encode
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support.peers import require_peer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_AUTHOR = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "a"), ("EMAIL", "a@example.com"), ("DATE", "2020-01-02T03:04:05Z"))
}


@dataclass(frozen=True, slots=True)
class Page:
    """What a path gives; a request with its ETag gets 304, and with ``cut`` the connection ends after so many bytes."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came."""

    path: str
    headers: Mapping[str, str]


def _set() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


@dataclass(slots=True)
class Web:
    """A server: ``pages`` by path, several answers of one path one after the other, and what was asked.

    While ``hold`` is not set, an answer stops in the middle, and ``held`` tells that one has.
    Below ``/git/`` are the repositories of ``repositories``; with ``password`` only for ``user`` with it.
    """

    address: str = ""
    repositories: Path | None = None
    user: str = "me"
    password: str = ""
    pages: dict[str, list[Page]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    hold: threading.Event = field(default_factory=_set)
    held: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"http://{self.address}{path}"

    def put(self, path: str, *pages: Page | bytes | str) -> str:
        """Let a path give these, one after the other, the last one again and again; return its URL."""
        self.pages[path] = [page if isinstance(page, Page) else Page(_bytes(page)) for page in pages]
        return self.url(path)

    def asked(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.path == path]


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text


@contextmanager
def serve_web(repositories: Path | None = None) -> Iterator[Web]:
    """Run a server for the length of the block."""
    web = Web(repositories=repositories)

    class Handler(_Handler):
        state = web

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: Web

    def do_GET(self) -> None:
        self.state.seen.append(Seen(self.path, dict(self.headers.items())))
        if self.path.startswith("/git/"):
            self._ask_git()
            return
        pages = self.state.pages.get(self.path, [Page(b"no such page", 404)])
        self._answer(pages.pop(0) if len(pages) > 1 else pages[0])

    def do_POST(self) -> None:
        self._ask_git()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the parameter has this name)
        pass

    def _answer(self, page: Page) -> None:
        etag = page.headers.get("ETag")
        if page.status == 200 and etag and self.headers.get("If-None-Match") == etag:
            page = Page(status=304, headers=page.headers)
        self.send_response(page.status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        if page.status != 304:
            self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        self.wfile.write(page.body[:1])
        self._hold()
        self.wfile.write(page.body[1 : page.cut])
        if page.cut is not None:
            self.close_connection = True

    def handle(self) -> None:
        with suppress(ConnectionError):  # a client may be gone
            super().handle()

    def _hold(self) -> None:
        if not self.state.hold.is_set():
            self.wfile.flush()
            self.state.held.set()
            self.state.hold.wait()

    def _ask_git(self) -> None:
        wanted = f"Basic {b64encode(f'{self.state.user}:{self.state.password}'.encode()).decode()}"
        if self.state.password and self.headers.get("Authorization") != wanted:
            self._answer(Page(status=401, headers={"WWW-Authenticate": 'Basic realm="git"'}))
            return
        url = urlsplit(self.path)
        environ = {
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_PROJECT_ROOT": str(self.state.repositories),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": url.path.removeprefix("/git"),
            "QUERY_STRING": url.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(
            [require_peer("git"), "http-backend"], input=self._body(), env=environ, capture_output=True, check=False
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        status = int(headers.pop("Status", "200").split()[0])
        self._answer(Page(body, status, headers))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body


@dataclass(frozen=True, slots=True)
class Repository:
    """A Git repository with a work tree, for a test to fill."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, *options: str) -> Repository:
        """Make one in ``folder``, with the branch ``main``."""
        folder.mkdir(parents=True)
        made = cls(folder)
        made.git("init", "--quiet", "--initial-branch=main", *options)
        return made

    def git(self, *words: str, given: bytes = b"") -> str:
        """Run a command of git in it, with the same author and time always."""
        environ = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/dev/null", **_AUTHOR}
        command = [require_peer("git"), "-c", "protocol.file.allow=always", *words]
        done = subprocess.run(command, cwd=self.folder, env=environ, input=given, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().strip()

    def git_object(self, kind: str, content: bytes) -> str:
        """Keep an object, whatever it holds, and return its hash."""
        return self.git("hash-object", "-t", kind, "-w", "--stdin", "--literally", given=content)

    def commit(self, files: Mapping[str, str], message: str = "change") -> str:
        """Commit files, and return the hash."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")
