"""One endpoint as one user sees it: requests go out with the authorisation that it asks for."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.errors import RegistryError
from ocibuild.registry.http.messages import Request
from ocibuild.registry.http.transport import SMALL, same_host, target_of
from ocibuild.registry.identity.challenge import repository_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    from ocibuild.registry.configuration.config import Endpoint
    from ocibuild.registry.http.connections import Stream
    from ocibuild.registry.http.messages import Answer, Body
    from ocibuild.registry.http.retry import Retries
    from ocibuild.registry.http.transport import Transport
    from ocibuild.registry.identity.auth import Authorizer

    Response = TypeVar("Response", Answer, Stream)


class RepositorySession:
    """Work in one repository at one endpoint, for pulling or for pushing; safe to use from threads.

    ``subject`` is what errors call it. A 401 is answered with (another) authorisation once.
    """

    def __init__(
        self, endpoint: Endpoint, path: str, transport: Transport, authorizer: Authorizer, *, push: bool, subject: str
    ) -> None:
        self.endpoint = endpoint
        self.subject = subject
        repository = endpoint.repository(path)
        self._base = f"{endpoint.base_url}/v2/{repository}"
        self._scopes = (repository_scope(repository, push=push),)
        self._transport = transport
        self._authorizer = authorizer

    def url(self, path: str) -> str:
        """Return the URL of ``path`` in the repository: ``manifests/latest``, ``blobs/sha256:…``."""
        return f"{self._base}/{path}"

    def about(self, what: str) -> RepositorySession:
        """Return this session for work on one thing, such as a blob, which errors name too."""
        session = copy(self)
        session.subject = f"{self.subject}: {what}"
        return session

    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        limit: int = SMALL,
        again: bool = True,
        further_scopes: tuple[str, ...] = (),
    ) -> Answer:
        """Send a request and read the whole answer, whatever its status; see ``Transport.ask``.

        ``further_scopes`` are rights that this request needs beside those in the repository.
        """
        again = again and not self.endpoint.is_mirror  # another server comes after a mirror
        request = Request(method, url, self.subject, headers or {}, body)
        scopes = (*self._scopes, *further_scopes)
        return self._authorised(request, scopes, lambda ready: self._transport.ask(ready, limit=limit, again=again))

    def open(self, url: str, headers: Mapping[str, str]) -> Stream:
        """GET ``url`` and return the response with its body unread, whatever its status; see ``Transport.open``."""
        return self._authorised(Request("GET", url, self.subject, headers), self._scopes, self._transport.open)

    def target(self, answer: Answer) -> str:
        """Return the ``Location`` of an answer as a URL; raises RegistryError where we may not go there."""
        location = answer.headers.get("Location")
        if not location:
            raise RegistryError(f"{self.subject}: the registry answers without a Location", status=answer.status)
        return self.resolve(answer, location)

    def resolve(self, answer: Answer, target: str) -> str:
        """Return the URL that ``target`` stands for in an answer; raises RegistryError where we may not go there."""
        return target_of(answer.url, target, self.subject)

    def retries(self) -> Retries:
        """Return fresh patience for one operation."""
        return self._transport.retries()

    def _authorised(self, request: Request, scopes: tuple[str, ...], send: Callable[[Request], Response]) -> Response:
        if not same_host(request.url, self.endpoint.base_url):  # an upload may lead elsewhere
            return send(request)
        header = self._authorizer.header(scopes, self.subject)
        response = send(_with(request, header))
        if response.status != 401 or not same_host(response.url, self.endpoint.base_url):
            return response  # what a host asks for that we were sent on to is not the registry's word
        challenges = response.headers.get("WWW-Authenticate", "")
        try:
            renewed = self._authorizer.renew(scopes, challenges, rejected=header, subject=self.subject)
        except BaseException:
            _drain(response)
            raise
        if renewed is None:
            return response
        _drain(response)
        return send(_with(request, renewed))


def _with(request: Request, authorization: str | None) -> Request:
    if authorization is None:
        return request
    return replace(request, headers={**request.headers, "Authorization": authorization})


def _drain(response: Answer | Stream) -> None:
    if hasattr(response, "drain"):
        response.drain()
