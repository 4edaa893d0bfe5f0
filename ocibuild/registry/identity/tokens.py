"""Bearer tokens: how a token server is asked for one, and what it answers.

See distribution's "Token Authentication Specification" and "OAuth2 Token Authentication".
"""

from __future__ import annotations

import base64
import json
import math
import time
from dataclasses import field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from ocibuild.errors import RegistryError
from ocibuild.registry.http.messages import Request
from ocibuild.registry.identity.credentials import IdentityToken, Password
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from ocibuild.registry.http.messages import Answer
    from ocibuild.registry.identity.credentials import Credential

_CLIENT = "ocibuild"
_DEFAULT_SECONDS = 60  # of a token that does not say how long it lives
_LONGEST_SECONDS = 86_400
_RENEW_AFTER = 0.9  # of its life


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token as a header; ``until`` is when we stop using it, on the monotonic clock.

    ``identity`` is the refresh token that came with it, None where none did.
    """

    header: str = field(repr=False)
    until: float
    identity: IdentityToken | None = None


def basic(credential: Password) -> str:
    """Return the Authorization header of RFC 7617."""
    return "Basic " + base64.b64encode(f"{credential.user}:{credential.password}".encode()).decode()


def token_request(
    realm: str,
    service: str,
    scopes: tuple[str, ...],
    credential: Credential | None,
    *,
    offline: bool,
    subject: str,
) -> Request:
    """Return the request for a token: POST with a refresh token, else GET; ``offline`` asks for a refresh token."""
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
        headers["Authorization"] = basic(credential)
    if offline:
        query += [("client_id", _CLIENT), ("offline_token", "true")]
    joint = "&" if urlsplit(realm).query else "?"
    return Request("GET", f"{realm}{joint}{urlencode(query)}", subject, headers)


def read_token(answer: Answer, subject: str) -> Token:
    """Return the token of a token server's answer, whatever it says of its age; raises RegistryError for no token.

    ``issued_at`` is not looked at: clocks differ, and the token is as new as the answer.
    """
    try:
        document: dict[str, Any] = json.loads(answer.body)
        text = document.get("token") or document.get("access_token")
        seconds, refresh = document.get("expires_in"), document.get("refresh_token")
    except (ValueError, AttributeError, RecursionError):
        text = seconds = refresh = None
    if not _is_word(text):
        raise RegistryError(f"{subject}: the token server's answer holds no token")
    identity = IdentityToken(refresh) if isinstance(refresh, str) and refresh else None
    return Token(f"Bearer {text}", time.monotonic() + lifetime(seconds) * _RENEW_AFTER, identity)


def lifetime(said: object) -> float:
    """Return how many seconds a token lives by its ``expires_in``; what makes no sense counts as if it were absent."""
    if isinstance(said, bool) or not isinstance(said, int | float | str):
        return _DEFAULT_SECONDS
    try:
        seconds = float(said)
    except ValueError:
        return _DEFAULT_SECONDS
    except OverflowError:
        return _LONGEST_SECONDS
    if math.isnan(seconds) or seconds <= 0:
        return _DEFAULT_SECONDS
    return min(seconds, _LONGEST_SECONDS)


def _is_word(text: object) -> bool:
    return isinstance(text, str) and text.isascii() and text.isprintable() and bool(text) and " " not in text
