"""Whether a registry takes a credential, found out before it is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.errors import RegistryError, Unauthorized
from ocibuild.registry.http.messages import Request
from ocibuild.registry.identity.auth import Authorizer
from ocibuild.registry.identity.credentials import Credentials

if TYPE_CHECKING:
    from ocibuild.registry.configuration.config import Endpoint, RegistryConfig
    from ocibuild.registry.http.messages import Answer
    from ocibuild.registry.http.transport import Transport
    from ocibuild.registry.identity.credentials import Credential


def check_login(endpoint: Endpoint, credential: Credential, transport: Transport, config: RegistryConfig) -> Credential:
    """Return what to keep for ``endpoint``: the refresh token that its token server gives, else ``credential`` itself.

    A registry that asks nobody for credentials takes any. Raises Unauthorized where it refuses this one, RegistryError
    where there is no registry. See distribution-spec, "Determining Support".
    """
    subject = endpoint.host
    authorizer = Authorizer(endpoint, Credentials.only(endpoint.host, credential), transport, config, offline=True)
    request = Request("GET", f"{endpoint.base_url}/v2/", subject)
    answer = transport.ask(request)
    if answer.status == 401:
        challenges = answer.headers.get("WWW-Authenticate", "")
        header = _authorise(authorizer, challenges, subject)
        if header is not None:
            answer = transport.ask(replace(request, headers={"Authorization": header}))
    if answer.status != 200:
        raise _refused(answer, subject)
    return authorizer.identity or credential


def _authorise(authorizer: Authorizer, challenges: str, subject: str) -> str | None:
    try:
        return authorizer.renew((), challenges, rejected=None, subject=subject)
    except Unauthorized as error:
        raise _wrong(subject, error.status) from error


def _wrong(subject: str, status: int) -> Unauthorized:
    return Unauthorized(
        f"{subject}: the registry refuses the user name or the password",
        code="UNAUTHORIZED",
        status=status,
        remedy="some registries want an access token in the place of the password",
    )


def _refused(answer: Answer, subject: str) -> RegistryError:
    if answer.status in (401, 403):
        return _wrong(subject, answer.status)
    return RegistryError(
        f"{subject}: not a registry: it answers {answer.status} to /v2/",
        status=answer.status,
        retryable=answer.status >= 500,
        remedy="check the name and the port",
    )
