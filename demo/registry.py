"""A small registry on loopback that speaks the real protocol (distribution-spec v1.1): for the demo and the tests.

``python -m demo.registry [--port N] [--token-auth] [--root DIR]`` serves until it is stopped. With ``--token-auth`` a
client needs a bearer token from its own ``/token``, which is given to the user ``demo`` with the password ``demo``.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import secrets
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from urllib.parse import parse_qs, urlencode, urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

MANIFEST_LIMIT = 4 << 20
_PIECE = 256 << 10
_NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
_DIGEST = r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"


class Files(Protocol):
    """Where the registry keeps what it is given, by key."""

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, data: bytes) -> None: ...

    def keys(self, prefix: str) -> list[str]: ...


class MemoryFiles:
    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self._files.get(key)

    def put(self, key: str, data: bytes) -> None:
        self._files[key] = data

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in list(self._files) if key.startswith(prefix))


class FolderFiles:
    """Files below a folder; keys are made of checked names only."""

    def __init__(self, root: str) -> None:
        self._root = root

    def get(self, key: str) -> bytes | None:
        try:
            with open(os.path.join(self._root, key), "rb") as file:
                return file.read()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def put(self, key: str, data: bytes) -> None:
        path = os.path.join(self._root, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = f"{path}.{secrets.token_hex(4)}"
        with open(temporary, "wb") as file:
            file.write(data)
        os.rename(temporary, path)

    def keys(self, prefix: str) -> list[str]:
        folder = os.path.join(self._root, prefix)
        return sorted(prefix + name for name in os.listdir(folder)) if os.path.isdir(folder) else []


@dataclass(frozen=True)
class Seen:
    """A request that was answered."""

    method: str
    path: str
    headers: Mapping[str, str]
    status: int


@dataclass
class Service:
    """What all requests share. ``intercept`` may answer a request itself (and return True): for scripted faults."""

    files: Files = field(default_factory=MemoryFiles)
    login: tuple[str, str] | None = None
    token_seconds: float = 300
    intercept: Callable[[Handler], bool] | None = None
    address: str = ""
    seen: list[Seen] = field(default_factory=list)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    tokens: dict[str, tuple[frozenset[str], float]] = field(default_factory=dict)

    def requests(self, method: str, part: str = "") -> list[Seen]:
        """Return the requests of this method whose path contains ``part``, in order."""
        return [one for one in list(self.seen) if one.method == method and part in one.path]


class Handler(BaseHTTPRequestHandler):
    """One connection; each request is matched with a route."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 << 10
    service: ClassVar[Service]

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):
            super().handle_one_request()
            return
        self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except ConnectionError:  # the client is gone, and with it what was still to be sent
            self.rfile.close()

    def route(self) -> None:
        self.body = self._pieces()
        self.query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if not (self.service.intercept and self.service.intercept(self)):
            self._dispatch(urlsplit(self.path).path)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = route  # noqa: N815  (http.server's names)

    def _dispatch(self, path: str) -> None:
        if path == "/token":
            return _give_token(self)
        for pattern, actions in _ROUTES:
            if found := re.fullmatch(pattern, path):
                if self.command not in actions:
                    return self.fail(405, "UNSUPPORTED", f"{self.command} is not supported here")
                if _is_allowed(self, found.groupdict().get("name", "")):
                    return actions[self.command](self, **found.groupdict())
                return None
        return self.fail(404, "NAME_UNKNOWN", "no such page")

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send a response; names of headers are written with underscores here."""
        self.drain()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers and status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            for start in range(0, len(body), _PIECE):
                self.wfile.write(memoryview(body)[start : start + _PIECE])

    def fail(self, status: int, code: str, message: str, **headers: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self.answer(status, body, Content_Type="application/json", **headers)

    def read_body(self, limit: int) -> bytes | None:
        """Return the request's body, None where it has more than ``limit`` bytes."""
        data = bytearray()
        for piece in self.body:
            data += piece
            if len(data) > limit:
                return None
        return bytes(data)

    def drain(self) -> None:
        """Read what is left of the body, so that the connection can be used again."""
        for _ in self.body:
            pass

    def _pieces(self) -> Iterator[bytes]:
        """Yield the request's body, of known length or with chunked transfer coding."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield from self._read(int(self.headers.get("Content-Length", 0)))
            return
        while size := int(self.rfile.readline(64).partition(b";")[0] or b"0", 16):
            yield from self._read(size)
            self.rfile.readline(64)
        while self.rfile.readline(4096).strip():
            pass  # trailers

    def _read(self, left: int) -> Iterator[bytes]:
        while left and (piece := self.rfile.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002  (http.server's signature)
        if self.command:  # else it is not HTTP: clients try TLS first
            headers = dict(getattr(self, "headers", {}))
            self.service.seen.append(Seen(self.command, self.path, headers, int(code)))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (http.server's name)
        pass


def _hello(handler: Handler) -> None:
    handler.answer(200, b"{}", Content_Type="application/json")


def _get_blob(handler: Handler, name: str, digest: str) -> None:
    data = handler.service.files.get(_blob_key(name, digest))
    if data is None:
        return handler.fail(404, "BLOB_UNKNOWN", f"no blob {digest} in {name}")
    headers = {"Content_Type": "application/octet-stream", "Docker_Content_Digest": digest, "Accept_Ranges": "bytes"}
    asked = re.fullmatch(r"bytes=([0-9]+)-([0-9]*)", handler.headers.get("Range", ""))
    if not asked:
        return handler.answer(200, data, **headers, Content_Length=str(len(data)))
    first, last = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
    if first > last:
        return handler.fail(416, "RANGE_INVALID", "no such range", Content_Range=f"bytes */{len(data)}")
    part = data[first : last + 1]
    return handler.answer(206, part, **headers, Content_Range=f"bytes {first}-{last}/{len(data)}")


def _get_manifest(handler: Handler, name: str, reference: str) -> None:
    files = handler.service.files
    digest = reference if ":" in reference else (files.get(_tag_key(name, reference)) or b"").decode()
    data = files.get(_manifest_key(name, digest)) if digest else None
    if data is None:
        return handler.fail(404, "MANIFEST_UNKNOWN", f"no manifest {reference} in {name}")
    kind, _, manifest = data.partition(b"\n")
    headers = {"Content_Type": kind.decode(), "Docker_Content_Digest": digest}
    return handler.answer(200, manifest, **headers, Content_Length=str(len(manifest)))


def _put_manifest(handler: Handler, name: str, reference: str) -> None:
    data = handler.read_body(MANIFEST_LIMIT)
    if data is None:
        return handler.fail(413, "SIZE_INVALID", f"more than {MANIFEST_LIMIT} bytes")
    digest = reference if ":" in reference else f"sha256:{hashlib.sha256(data).hexdigest()}"
    if not _is_digest_of(digest, data):
        return handler.fail(400, "DIGEST_INVALID", f"the content is not {digest}")
    try:
        missing = _missing_parts(handler.service.files, name, json.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError):
        return handler.fail(400, "MANIFEST_INVALID", "not a manifest")
    if missing:
        return handler.fail(404, "MANIFEST_BLOB_UNKNOWN", f"{missing} is not in {name}")
    kind = handler.headers.get("Content-Type", "application/octet-stream")
    handler.service.files.put(_manifest_key(name, digest), kind.encode() + b"\n" + data)
    if digest != reference:
        handler.service.files.put(_tag_key(name, reference), digest.encode())
    return handler.answer(201, Location=f"/v2/{name}/manifests/{digest}", Docker_Content_Digest=digest)


def _missing_parts(files: Files, name: str, document: Mapping[str, Any]) -> str | None:
    """Return the digest of a part of the manifest that is not here; layers with URLs need not be."""
    parts = [document["config"], *document["layers"]] if "layers" in document else []
    for part in parts:
        if not part.get("urls") and files.get(_blob_key(name, part["digest"])) is None:
            return str(part["digest"])
    for part in document.get("manifests", []):
        if files.get(_manifest_key(name, part["digest"])) is None:
            return str(part["digest"])
    return None


def _begin_upload(handler: Handler, name: str) -> None:
    service, query = handler.service, handler.query
    source = _blob_key(query.get("from", ""), query.get("mount", "-"))
    if "mount" in query and (data := service.files.get(source)) is not None:
        service.files.put(_blob_key(name, query["mount"]), data)
        return _created(handler, name, query["mount"])
    session = secrets.token_hex(16)
    service.uploads[session] = bytearray()
    if "digest" in query:
        return _end_upload(handler, name, session)
    return _accepted(handler, 202, name, session)


def _patch_upload(handler: Handler, name: str, session: str) -> None:
    upload = handler.service.uploads.get(session)
    if upload is None:
        return handler.fail(404, "BLOB_UPLOAD_UNKNOWN", "no such upload session")
    asked = handler.headers.get("Content-Range")
    if asked and asked.partition("-")[0] != str(len(upload)):
        return _accepted(handler, 416, name, session)
    for piece in handler.body:
        upload += piece
    return _accepted(handler, 202, name, session)


def _end_upload(handler: Handler, name: str, session: str) -> None:
    upload, digest = handler.service.uploads.get(session), handler.query.get("digest", "")
    if upload is None:
        return handler.fail(404, "BLOB_UPLOAD_UNKNOWN", "no such upload session")
    for piece in handler.body:
        upload += piece
    if not re.fullmatch(_DIGEST, digest) or not _is_digest_of(digest, upload):
        return handler.fail(400, "DIGEST_INVALID", f"the content is not {digest!r}")
    handler.service.files.put(_blob_key(name, digest), bytes(upload))
    handler.service.uploads.pop(session, None)
    return _created(handler, name, digest)


def _cancel_upload(handler: Handler, name: str, session: str) -> None:  # noqa: ARG001  (all of a path has its name)
    handler.service.uploads.pop(session, None)
    handler.answer(204)


def _get_upload(handler: Handler, name: str, session: str) -> None:
    if session not in handler.service.uploads:
        return handler.fail(404, "BLOB_UPLOAD_UNKNOWN", "no such upload session")
    return _accepted(handler, 204, name, session)


def _accepted(handler: Handler, status: int, name: str, session: str) -> None:
    received = len(handler.service.uploads[session])
    location = f"/v2/{name}/blobs/uploads/{session}"
    handler.answer(status, Location=location, Range=f"0-{max(received - 1, 0)}", Docker_Upload_UUID=session)


def _created(handler: Handler, name: str, digest: str) -> None:
    handler.answer(201, Location=f"/v2/{name}/blobs/{digest}", Docker_Content_Digest=digest)


def _list_tags(handler: Handler, name: str) -> None:
    prefix = _tag_key(name, "")
    tags = [key.removeprefix(prefix) for key in handler.service.files.keys(prefix)]
    if not tags:
        return handler.fail(404, "NAME_UNKNOWN", f"no repository {name}")
    rest = [tag for tag in tags if tag > handler.query.get("last", "")]
    shown = rest[: int(handler.query["n"])] if handler.query.get("n", "").isdigit() else rest
    body = json.dumps({"name": name, "tags": shown}).encode()
    headers = {"Content_Type": "application/json"}
    if shown and len(shown) < len(rest):
        following = urlencode({"n": len(shown), "last": shown[-1]})
        headers["Link"] = f'</v2/{name}/tags/list?{following}>; rel="next"'
    return handler.answer(200, body, **headers)


def _give_token(handler: Handler) -> None:
    """Answer a token request: the scopes that were asked for, to those who know the password."""
    service = handler.service
    expected = base64.b64encode(":".join(service.login or ()).encode()).decode()
    if handler.headers.get("Authorization") != f"Basic {expected}":
        return handler.fail(401, "UNAUTHORIZED", "wrong user or password")
    token = secrets.token_urlsafe(24)
    scopes = frozenset(parse_qs(urlsplit(handler.path).query).get("scope", []))
    service.tokens[token] = (scopes, time.monotonic() + service.token_seconds)
    body = json.dumps({"token": token, "expires_in": service.token_seconds}).encode()
    return handler.answer(200, body, Content_Type="application/json")


def _is_allowed(handler: Handler, name: str) -> bool:
    """Tell whether the request carries a token for what it does; answers 401 where it does not."""
    service = handler.service
    if service.login is None:
        return True
    token = handler.headers.get("Authorization", "").removeprefix("Bearer ")
    scopes, until = service.tokens.get(token, (frozenset(), 0.0))
    action = "pull" if handler.command in ("GET", "HEAD") else "push"
    granted = (scope.rpartition(":") for scope in scopes)
    fits = not name or any(
        resource == f"repository:{name}" and action in actions.split(",") for resource, _, actions in granted
    )
    if fits and time.monotonic() < until:
        return True
    wanted = "pull" if action == "pull" else "pull,push"
    scope = f',scope="repository:{name}:{wanted}"' if name else ""
    challenge = f'Bearer realm="http://{service.address}/token",service="demo"{scope}'
    handler.fail(401, "UNAUTHORIZED", "a token is needed", WWW_Authenticate=challenge)
    return False


def _is_digest_of(digest: str, data: bytes | bytearray) -> bool:
    algorithm, _, encoded = digest.partition(":")
    return hashlib.new(algorithm, data).hexdigest() == encoded


def _blob_key(name: str, digest: str) -> str:
    return f"{name}/_blobs/{digest}"


def _manifest_key(name: str, digest: str) -> str:
    return f"{name}/_manifests/{digest}"


def _tag_key(name: str, tag: str) -> str:
    return f"{name}/_tags/{tag}"


_UPLOAD = rf"/v2/(?P<name>{_NAME})/blobs/uploads/(?P<session>[0-9a-f]{{32}})"
_ROUTES: list[tuple[str, dict[str, Callable[..., None]]]] = [
    (r"/v2/", {"GET": _hello, "HEAD": _hello}),
    (rf"/v2/(?P<name>{_NAME})/blobs/(?P<digest>{_DIGEST})", {"GET": _get_blob, "HEAD": _get_blob}),
    (
        rf"/v2/(?P<name>{_NAME})/manifests/(?P<reference>{_TAG}|{_DIGEST})",
        {"GET": _get_manifest, "HEAD": _get_manifest, "PUT": _put_manifest},
    ),
    (rf"/v2/(?P<name>{_NAME})/blobs/uploads/", {"POST": _begin_upload}),
    (_UPLOAD, {"GET": _get_upload, "PATCH": _patch_upload, "PUT": _end_upload, "DELETE": _cancel_upload}),
    (rf"/v2/(?P<name>{_NAME})/tags/list", {"GET": _list_tags}),
]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


@contextmanager
def serve(service: Service | None = None, *, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Service]:
    """Serve on loopback until the block is left; ``address`` of what is given is ``127.0.0.1:PORT``."""
    service = service or Service()
    server = _Server(("127.0.0.1", port), type("BoundHandler", (Handler,), {"service": service}))
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    service.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.004}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.registry", description="A small registry on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--token-auth", action="store_true", help="ask for bearer tokens; user and password are demo")
    parser.add_argument("--root", metavar="DIR", help="keep images here, not in memory")
    options = parser.parse_args()
    files = FolderFiles(options.root) if options.root else MemoryFiles()
    login = ("demo", "demo") if options.token_auth else None
    with serve(Service(files, login), port=options.port) as service, suppress(KeyboardInterrupt):
        print(service.address, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
