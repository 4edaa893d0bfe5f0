"""A stand-in for Docker Hub: a registry, a token server and a CDN, each on a port of its own, with scripted faults.

Every request is recorded with all its headers under a label such as ``registry HEAD tag 1``, ``auth GET token`` or
``cdn GET layer 0``; a fault is scripted for a label, and acts on as many of its requests as it is told to.
"""

from __future__ import annotations

import base64
import io
import json
import re
import secrets
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

from demo.registry import Handler, MemoryFiles, Service, serve

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

USER, PASSWORD, REFRESH = "anna", "a-secret-password", "a-secret-refresh-token"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
ALWAYS = 1_000_000


@dataclass(slots=True)
class Asked:
    """A request: ``received`` bytes of its body came, and it was answered with ``status`` (0 for no whole answer)."""

    label: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, list[str]]
    received: int = 0
    status: int = 0


@dataclass(slots=True)
class Fault:
    """What happens to ``times`` requests with ``label``, after ``skip`` ones that are served well."""

    label: str
    act: Callable[[Exchange], None]
    times: int = 1
    skip: int = 0


@dataclass(slots=True)
class Exchange:
    """One request and its answer, for a fault to spoil; ``proceed`` does what was asked."""

    hub: Hub
    handler: Handler
    asked: Asked
    proceed: Callable[[], None]

    def answer(self) -> tuple[bytes, bytes]:
        """Let the server do what was asked, and return its answer: the head with its empty line, and the body."""
        stream, self.handler.wfile = self.handler.wfile, cast("Any", io.BytesIO())
        try:
            self.proceed()
            head, blank, body = cast("Any", self.handler.wfile).getvalue().partition(b"\r\n\r\n")
        finally:
            self.handler.wfile = stream
        self.asked.status = int(head.split()[1])
        if self.asked.label.startswith("registry") and "/manifests/" in self.asked.path:
            head += b"\r\nratelimit-limit: 100;w=21600\r\nratelimit-remaining: 99;w=21600"
        return head + blank, body

    def send(self, *pieces: bytes) -> None:
        """Send what a server should not."""
        for piece in pieces:
            self.handler.wfile.write(piece)
        self.handler.wfile.flush()

    def hang_up(self) -> None:
        """Let nothing follow on this connection."""
        self.handler.close_connection = True

    def wait(self, seconds: float) -> bool:
        """Wait, and tell whether the end has not come yet."""
        return not self.hub.closing.wait(seconds)


@dataclass
class Hub:
    """The three servers and what was asked of them. ``names`` are what labels call digests.

    Anybody may pull but from ``private/``, and ``anna`` may push; tokens are for scopes and live ``token_seconds``,
    whatever ``told_seconds`` says of them.
    """

    files: MemoryFiles = field(default_factory=MemoryFiles)
    faults: list[Fault] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    token_seconds: float = 300
    told_seconds: int = 300
    has_head: bool = True
    gives_other_scopes: bool = True
    closing: threading.Event = field(default_factory=threading.Event)
    realm: str = ""

    def __post_init__(self) -> None:
        self.registry = Service(self.files, intercept=self._serve("registry", self._ask_registry))
        self.auth = Service(intercept=self._serve("auth", self._ask_auth))
        self.cdn = Service(self.files, intercept=self._serve("cdn", self._ask_cdn))
        self._tokens: dict[str, tuple[frozenset[str], float]] = {}
        self._lock = threading.Lock()  # guards faults

    @property
    def address(self) -> str:
        return self.registry.address

    def fail(self, label: str, act: Callable[[Exchange], None], *, times: int = 1, skip: int = 0) -> None:
        """Let a fault happen."""
        self.faults.append(Fault(label, act, times, skip))

    def forget(self) -> None:
        """Let no more faults happen, and begin to count anew."""
        with self._lock:
            self.faults.clear()
        self.asked.clear()

    def counts(self) -> Counter[str]:
        """Return how many requests of each label came, without those that asked what to authorise with."""
        return Counter(one.label for one in list(self.asked) if one.status != 401)

    def of(self, label: str) -> list[Asked]:
        """Return the requests of a label, in order."""
        return [one for one in list(self.asked) if one.label == label]

    def revoke_tokens(self) -> None:
        """Let every token end now."""
        self._tokens.clear()

    def _serve(self, server: str, ask: Callable[[Handler, Callable[[], None]], None]) -> Callable[[Handler], bool]:
        def intercept(handler: Handler) -> bool:
            url = urlsplit(handler.path)
            label = f"{server} {handler.command} {self._thing(url.path)}"
            asked = Asked(label, url.path, dict(handler.headers.items()), parse_qs(url.query))
            self.asked.append(asked)
            handler.body = _counted(handler.body, asked)
            exchange = Exchange(self, handler, asked, lambda: ask(handler, lambda: handler._dispatch(url.path)))
            act = self._fault(label)
            if act:
                act(exchange)
                return True
            head, body = exchange.answer()
            exchange.send(head, body)
            return True

        return intercept

    def _fault(self, label: str) -> Callable[[Exchange], None] | None:
        with self._lock:
            for fault in self.faults:
                if fault.label != label:
                    continue
                if fault.skip:
                    fault.skip -= 1
                elif fault.times:
                    fault.times -= 1
                    return fault.act
        return None

    def _thing(self, path: str) -> str:
        last = path.rpartition("/")[2]
        if "/blobs/uploads/" in path:
            return "upload" if last else "uploads"
        if "/referrers/" in path:
            return "referrers"
        if "/manifests/" in path and ":" not in last:
            return "referrers tag" if last.startswith("sha256-") else f"tag {last}"
        return self.names.get(last, last)

    # -- the three servers

    def _ask_registry(self, handler: Handler, proceed: Callable[[], None]) -> None:
        found = re.fullmatch(r"/v2/(.+?)/(manifests|blobs|tags|referrers)/.*", urlsplit(handler.path).path)
        name = found[1] if found else ""
        if not self._may(handler, name):
            return
        if handler.command == "HEAD" and "/manifests/" in handler.path and not self.has_head:
            handler.fail(405, "UNSUPPORTED", "no HEAD here")
        elif handler.command == "GET" and re.search(r"/blobs/sha256:[0-9a-f]{64}$", handler.path):
            signed = f"http://{self.cdn.address}/{handler.path.removeprefix('/v2/')}?signature={secrets.token_hex(4)}"
            handler.answer(307, Location=signed)
        else:
            proceed()

    def _may(self, handler: Handler, name: str) -> bool:
        """Tell whether there is a token for what is asked; else ask for one."""
        pushes = handler.command in ("POST", "PUT", "PATCH") or "/uploads/" in handler.path
        token = handler.headers.get("Authorization", "").removeprefix("Bearer ")
        scopes, until = self._tokens.get(token, (frozenset(), 0.0))
        if time.monotonic() < until and f"{name}:{'push' if pushes else 'pull'}" in scopes:
            if f"{handler.query.get('from')}:pull" not in scopes:
                handler.query.pop("mount", None)
            return True
        realm = self.realm or f"http://{self.auth.address}/token"
        scope = f"repository:{name}:{'pull,push' if pushes else 'pull'}"
        challenge = f'Bearer realm="{realm}",service="hub",scope="{scope}",error="invalid_token"'
        handler.fail(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=challenge)
        return False

    def _ask_auth(self, handler: Handler, _proceed: Callable[[], None]) -> None:
        form = parse_qs(urlsplit(handler.path).query)
        if handler.command == "POST":
            form = parse_qs((handler.read_body(1 << 16) or b"").decode())
            known = form.get("refresh_token") == [REFRESH]
            refused = not known
        else:
            given = handler.headers.get("Authorization")
            known = given == f"Basic {BASIC}"
            refused = given is not None and not known
        scopes = [scope for text in form.get("scope", []) for scope in text.split()]
        if refused or (len(scopes) > 1 and not self.gives_other_scopes):
            return handler.fail(401, "UNAUTHORIZED", "incorrect username or password")
        token = f"a-secret-token-{secrets.token_hex(8)}"
        granted = frozenset(one for scope in scopes for one in _granted(scope, known=known))
        self._tokens[token] = (granted, time.monotonic() + self.token_seconds)
        answer = {"token": token, "access_token": token, "expires_in": self.told_seconds}
        return handler.answer(200, json.dumps(answer).encode(), Content_Type="application/json")

    def _ask_cdn(self, handler: Handler, _proceed: Callable[[], None]) -> None:
        if "Authorization" in handler.headers or "signature" not in handler.query:
            return handler.answer(400, b"<Error>one way to authorise, please</Error>")
        return handler._dispatch(f"/v2{urlsplit(handler.path).path}")


def _granted(scope: str, *, known: bool) -> Iterator[str]:
    _, name, actions = scope.split(":")
    for action in actions.split(","):
        if known or (action == "pull" and not name.startswith("private/")):
            yield f"{name}:{action}"


def _counted(pieces: Iterator[bytes], asked: Asked) -> Iterator[bytes]:
    for piece in pieces:
        asked.received += len(piece)
        yield piece


@contextmanager
def serve_hub(hub: Hub | None = None, *, tls: ssl.SSLContext | None = None) -> Iterator[Hub]:
    """Run the three servers; with ``tls`` the registry speaks that."""
    hub = hub or Hub()
    with ExitStack() as stack:
        stack.enter_context(serve(hub.registry, tls=tls))
        stack.enter_context(serve(hub.auth))
        stack.enter_context(serve(hub.cdn))
        stack.callback(hub.closing.set)
        yield hub
