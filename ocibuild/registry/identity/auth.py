"""Authorisation at one registry: basic, or bearer tokens, one for each set of scopes, renewed when they end."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ocibuild.errors import OcibuildError, RegistryError, Unauthorized, naming
from ocibuild.registry.configuration.config import domain_of, is_loopback
from ocibuild.registry.http.messages import one_line
from ocibuild.registry.http.transport import origin_of
from ocibuild.registry.identity.challenge import Challenge, merge_scopes, parse_challenges
from ocibuild.registry.identity.credentials import Password, RegistryToken
from ocibuild.registry.identity.tokens import basic, read_token, token_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.registry.configuration.config import Endpoint, RegistryConfig
    from ocibuild.registry.http.messages import Answer
    from ocibuild.registry.http.transport import Transport
    from ocibuild.registry.identity.credentials import Credentials, IdentityToken
    from ocibuild.registry.identity.tokens import Token


class Authorizer:
    """The Authorization header for one endpoint; safe to use from threads, which share its tokens.

    Nothing is asked for before the registry has asked for it: credentials are looked up, and helpers run, at the
    first 401. They are shown to that registry and to the token server it names, and to nobody else. With ``offline``
    token servers are asked for a refresh token too: ``identity`` is what they gave.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        transport: Transport,
        config: RegistryConfig,
        *,
        offline: bool = False,
    ) -> None:
        self.identity: IdentityToken | None = None
        self._endpoint = endpoint
        self._credentials = credentials
        self._transport = transport
        self._config = config
        self._offline = offline
        self._fixed: str | None = None
        self._bearer: Challenge | None = None
        self._tokens: dict[tuple[str, ...], Token] = {}
        self._failures: dict[tuple[str, ...], tuple[float, OcibuildError]] = {}
        self._lock = threading.Lock()  # guards the four above; held while a token is fetched, so that one is enough

    def header(self, scopes: tuple[str, ...], subject: str) -> str | None:
        """Return the header to send for ``scopes``, None where nothing is known to be needed.

        Raises Unauthorized or RegistryError where a token is needed and the token server does not give one.
        """
        with self._turn(scopes):
            if self._fixed or not self._bearer:
                return self._fixed
            token = self._tokens.get(scopes)
            if token and time.monotonic() < token.until:
                return token.header
            return self._fetch(self._bearer, scopes, subject)

    def renew(self, scopes: tuple[str, ...], challenges: str, *, rejected: str | None, subject: str) -> str | None:
        """Return another header after a 401 whose WWW-Authenticate was ``challenges``; None where there is none.

        ``rejected`` is the header that was sent: where another thread has renewed it since, that one is returned.
        A bearer token is preferred to basic: the password is then shown to the token server alone.
        """
        with self._turn(scopes):
            known = self._fixed or (self._tokens[scopes].header if scopes in self._tokens else None)
            if known and known != rejected:
                return known
            asked = parse_challenges(challenges)
            for challenge in asked:
                if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                    return self._take_bearer(challenge, scopes, rejected, subject)
            if any(challenge.scheme == "basic" for challenge in asked):
                return self._take_basic(rejected)
            return None

    @contextmanager
    def _turn(self, scopes: tuple[str, ...]) -> Iterator[None]:
        """Hold the lock; who waited in vain for the token of another thread gets its error, not a try of its own."""
        since = time.monotonic()
        with self._lock:
            ended, failure = self._failures.get(scopes, (0.0, None))
            if failure and ended > since:
                raise failure
            try:
                yield
            except OcibuildError as error:
                self._failures[scopes] = time.monotonic(), error
                raise

    def _take_basic(self, rejected: str | None) -> str | None:
        credential = self._credentials.for_host(self._endpoint.host)
        return self._take_fixed(basic(credential), rejected) if isinstance(credential, Password) else None

    def _take_fixed(self, header: str, rejected: str | None) -> str | None:
        if header == rejected:
            return None
        self._fixed = header
        return header

    def _take_bearer(
        self, challenge: Challenge, scopes: tuple[str, ...], rejected: str | None, subject: str
    ) -> str | None:
        credential = self._credentials.for_host(self._endpoint.host)
        if isinstance(credential, RegistryToken):
            return self._take_fixed(f"Bearer {credential.token}", rejected)
        self._fixed = None
        # what it said of scopes was for this request alone
        self._bearer = Challenge("bearer", {**challenge.parameters, "scope": ""})
        return self._fetch(challenge, scopes, subject)

    def _fetch(self, challenge: Challenge, scopes: tuple[str, ...], subject: str) -> str:
        """Get a token for ``scopes`` and whatever else the registry asked for in its challenge."""
        realm = challenge.parameters["realm"]
        self._check_realm(realm, subject)
        credential = self._credentials.for_host(self._endpoint.host)
        request = token_request(
            realm,
            challenge.parameters.get("service", ""),
            merge_scopes([*scopes, *challenge.parameters.get("scope", "").split()]),
            credential,
            offline=self._offline,
            subject=subject,
        )
        answer = self._transport.ask(request)
        if answer.status != 200:
            raise _refused(answer, subject, self._endpoint.host, given=credential is not None)
        token = read_token(answer, subject)
        self._tokens[scopes] = token
        self.identity = token.identity or self.identity
        return token.header

    def _check_realm(self, realm: str, subject: str) -> None:
        """Refuse a token server without TLS, unless the registry has none either and this one is known to us."""
        with naming(subject):
            scheme, name, _ = origin_of(realm)
        if scheme == "https" and name:
            return
        host = urlsplit(realm).netloc
        if scheme == "http" and name and self._endpoint.http and (is_loopback(host) or self._config.host(host).http):
            return
        raise RegistryError(f"{subject}: the registry's token server is not HTTPS: {one_line(realm)!r}")


def _refused(answer: Answer, subject: str, host: str, *, given: bool) -> RegistryError:
    if answer.status not in (400, 401, 403):  # it was asked often enough
        return RegistryError(f"{subject}: the token server of {host} answers {answer.status}", status=answer.status)
    problem = "refuses the credentials" if given else "wants credentials"
    return Unauthorized(
        f"{subject}: the token server {problem} for {host}",
        code="UNAUTHORIZED",
        status=answer.status,
        remedy=f"`ocibuild login {domain_of(host)}` keeps {'other ones' if given else 'some'}",
    )
