"""Authorisation at one registry: basic, or bearer tokens, one for each scope, renewed when they end.

See distribution's specification of token authentication ("Token Authentication Specification", "OAuth2 Token
Authentication").
"""

from __future__ import annotations

import base64
import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from ocibuild.errors import RegistryError, Unauthorized
from ocibuild.registry.challenge import merge_scopes, parse_challenges
from ocibuild.registry.config import is_loopback
from ocibuild.registry.credentials import IdentityToken, Password, RegistryToken
from ocibuild.registry.messages import Request, failure, one_line
from ocibuild.registry.transport import origin_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocibuild.registry.challenge import Challenge
    from ocibuild.registry.config import Endpoint, RegistryConfig
    from ocibuild.registry.credentials import Credential, Credentials
    from ocibuild.registry.messages import Answer
    from ocibuild.registry.transport import Transport

_CLIENT = "ocibuild"
_DEFAULT_SECONDS = 60  # of a token that does not say how long it lives
_RENEW_AFTER = 0.9  # of its life


@dataclass(frozen=True, slots=True)
class _Token:
    """A bearer token; ``until`` is when we stop using it, on the monotonic clock."""

    header: str = field(repr=False)
    until: float


class Authorizer:
    """The Authorization header for one endpoint; safe to use from threads, which share its tokens.

    Nothing is asked for before the registry has asked for it: credentials are looked up, and helpers run, at the
    first 401. They are shown to that registry and to the token server it names, and to nobody else.
    """

    def __init__(
        self, endpoint: Endpoint, credentials: Credentials, transport: Transport, config: RegistryConfig
    ) -> None:
        self._endpoint = endpoint
        self._credentials = credentials
        self._transport = transport
        self._config = config
        self._fixed: str | None = None
        self._bearer: Challenge | None = None
        self._tokens: dict[str, _Token] = {}
        self._lock = threading.Lock()  # guards the three above; held while a token is fetched, so that one is enough

    def header(self, scope: str, subject: str) -> str | None:
        """Return the header to send for ``scope``, None where nothing is known to be needed.

        Raises Unauthorized or RegistryError where a token is needed and the token server does not give one.
        """
        with self._lock:
            if self._fixed or not self._bearer:
                return self._fixed
            token = self._tokens.get(scope)
            if token and time.monotonic() < token.until:
                return token.header
            return self._fetch(self._bearer, scope, subject)

    def renew(self, scope: str, challenges: str, *, rejected: str | None, subject: str) -> str | None:
        """Return another header after a 401 whose WWW-Authenticate was ``challenges``; None where there is none.

        ``rejected`` is the header that was sent: where another thread has renewed it since, that one is returned.
        """
        with self._lock:
            known = self._fixed or (self._tokens[scope].header if scope in self._tokens else None)
            if known and known != rejected:
                return known
            for challenge in parse_challenges(challenges):
                if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                    return self._take_bearer(challenge, scope, rejected, subject)
                if challenge.scheme == "basic":
                    return self._take_basic(rejected)
            return None

    def _take_basic(self, rejected: str | None) -> str | None:
        credential = self._credentials.for_host(self._endpoint.host)
        return self._take_fixed(_basic(credential), rejected) if isinstance(credential, Password) else None

    def _take_fixed(self, header: str, rejected: str | None) -> str | None:
        if header == rejected:
            return None
        self._fixed = header
        return header

    def _take_bearer(self, challenge: Challenge, scope: str, rejected: str | None, subject: str) -> str | None:
        credential = self._credentials.for_host(self._endpoint.host)
        if isinstance(credential, RegistryToken):
            return self._take_fixed(f"Bearer {credential.token}", rejected)
        self._bearer = challenge
        return self._fetch(challenge, scope, subject)

    def _fetch(self, challenge: Challenge, scope: str, subject: str) -> str:
        """Get a token for ``scope`` and whatever else the registry asked for in its challenge."""
        realm = challenge.parameters["realm"]
        self._check_realm(realm, subject)
        scopes = merge_scopes([scope, *challenge.parameters.get("scope", "").split()])
        credential = self._credentials.for_host(self._endpoint.host)
        request = _token_request(realm, challenge.parameters.get("service", ""), scopes, credential, subject)
        answer = self._transport.ask(request)
        if answer.status != 200:
            raise _refused(answer, subject, self._endpoint.host, given=credential is not None)
        token = _read_token(answer, subject)
        self._tokens[scope] = token
        return token.header

    def _check_realm(self, realm: str, subject: str) -> None:
        """Refuse a token server without TLS, unless the registry has none either and this one is known to us."""
        scheme, name, _ = origin_of(realm)
        if scheme == "https" and name:
            return
        host = urlsplit(realm).netloc
        if scheme == "http" and name and self._endpoint.http and (is_loopback(host) or self._config.host(host).http):
            return
        raise RegistryError(f"{subject}: the registry's token server is not HTTPS: {one_line(realm)!r}")


def _basic(credential: Password) -> str:
    return "Basic " + base64.b64encode(f"{credential.user}:{credential.password}".encode()).decode()


def _token_request(
    realm: str, service: str, scopes: tuple[str, ...], credential: Credential | None, subject: str
) -> Request:
    named = [("service", service)] if service else []
    if isinstance(credential, IdentityToken):
        form = [
            ("grant_type", "refresh_token"),
            *named,
            ("client_id", _CLIENT),
            ("scope", " ".join(scopes)),
            ("refresh_token", credential.token),
        ]
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Request("POST", realm, subject, headers, urlencode(form).encode())
    query = named + [("scope", scope) for scope in scopes]
    headers = {}
    if isinstance(credential, Password):
        query.append(("account", credential.user))
        headers["Authorization"] = _basic(credential)
    joint = "&" if urlsplit(realm).query else "?"
    return Request("GET", f"{realm}{joint}{urlencode(query)}", subject, headers)


def _read_token(answer: Answer, subject: str) -> _Token:
    try:
        document: Mapping[str, object] = json.loads(answer.body)
        text = document.get("token") or document.get("access_token")
        seconds = document.get("expires_in") or _DEFAULT_SECONDS
    except (ValueError, AttributeError, RecursionError):
        text = seconds = None
    printable = isinstance(text, str) and text.isascii() and text.isprintable() and " " not in text
    if not printable or not isinstance(seconds, int | float):
        raise RegistryError(f"{subject}: the token server's answer holds no token")
    return _Token(f"Bearer {text}", time.monotonic() + seconds * _RENEW_AFTER)


def _refused(answer: Answer, subject: str, host: str, *, given: bool) -> RegistryError:
    if answer.status not in (400, 401, 403):
        return failure(answer, subject)
    if given:
        problem, remedy = "the token server refuses the credentials for", "put the right ones into"
    else:
        problem, remedy = "the token server wants credentials for", "put them into"
    return Unauthorized(
        f"{subject}: {problem} {host}",
        code="UNAUTHORIZED",
        status=answer.status,
        remedy=f"{remedy} ~/.docker/config.json",
    )
