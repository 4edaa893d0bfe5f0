"""Who we are to a registry: docker's ``config.json``, ``DOCKER_AUTH_CONFIG`` and credential helpers.

See docker's documentation of ``docker login``, "Credential stores".
"""

from __future__ import annotations

import base64
import threading
from dataclasses import field
from typing import TYPE_CHECKING, Self, TypeAlias

from ocibuild.errors import ConfigError
from ocibuild.registry.identity.authfile import AuthFile, auth_file_path, read_auth_file, server_key
from ocibuild.registry.identity.helper import Helper, Secret
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TOKEN_USER = "<token>"  # noqa: S105  (what helpers call the user of an identity token)


@dataclass(frozen=True, slots=True)
class Password:
    """A user and a password (or an access token in its place)."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IdentityToken:
    """A refresh token, to be exchanged for access tokens by POST."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RegistryToken:
    """A bearer token that the registry takes as it is."""

    token: str = field(repr=False)


Credential: TypeAlias = Password | IdentityToken | RegistryToken


class Credentials:
    """The credentials that the user keeps, asked for by host; safe to use from threads.

    Documents are asked in order; in each the host's helper first, then the general one, then ``auths``. A helper is
    run once for a host.
    """

    def __init__(self, files: Iterable[AuthFile] = (), *, environ: Mapping[str, str] | None = None) -> None:
        self._files = tuple(files)
        self._environ = dict(environ or {})
        self._known: dict[str, Credential | None] = {}
        self._lock = threading.Lock()  # guards _known

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Self:
        """Read ``DOCKER_AUTH_CONFIG``, then ``$DOCKER_CONFIG/config.json`` (``~/.docker``); both may be missing.

        Raises ConfigError for one that is not what docker writes.
        """
        files = []
        if text := environ.get("DOCKER_AUTH_CONFIG"):
            files.append(AuthFile.parse(text.encode(errors="surrogateescape"), "DOCKER_AUTH_CONFIG"))
        path = auth_file_path(environ)
        if path and (file := read_auth_file(path)):
            files.append(file)
        return cls(files, environ=environ)

    @classmethod
    def only(cls, host: str, credential: Credential) -> Self:
        """Return credentials that know one host."""
        known = cls()
        known._known[host] = credential
        return known

    def for_host(self, host: str) -> Credential | None:
        """Return what to show to ``host`` (with its port, where it has one), None for an anonymous user.

        Raises ConfigError where an entry is broken or its helper fails.
        """
        with self._lock:
            if host not in self._known:
                found = (self._look_up(file, host) for file in self._files)
                self._known[host] = next((credential for credential in found if credential), None)
            return self._known[host]

    def _look_up(self, file: AuthFile, host: str) -> Credential | None:
        if name := file.helper(host):
            secret = Helper(name, file.name, self._environ).get(server_key(host))
            if secret:
                return _from_helper(secret)
        entry = file.entry(host)
        return None if entry is None else _from_entry(entry, f"{file.name}: auths: {host}")


def _from_helper(secret: Secret) -> Credential:
    return IdentityToken(secret.secret) if secret.user == TOKEN_USER else Password(secret.user, secret.secret)


def _from_entry(entry: object, where: str) -> Credential | None:
    if not isinstance(entry, dict):
        raise ConfigError(f"{where}: must be an object")
    names = ("identitytoken", "registrytoken", "auth", "username", "password")
    values = {name: entry[name] for name in names if entry.get(name)}
    if wrong := [name for name, value in values.items() if not isinstance(value, str)]:
        raise ConfigError(f"{where}: {wrong[0]} must be a string")
    match values:
        case {"identitytoken": token}:
            return IdentityToken(token)
        case {"registrytoken": token}:
            return RegistryToken(token)
        case {"auth": encoded}:
            return _decode(encoded, where)
        case {"username": user, "password": password}:
            return Password(user, password)
        case _:
            return None


def _decode(encoded: str, where: str) -> Password:
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        colon = ""
    if not colon:
        # Without the cause: its traceback would show the secret.
        raise ConfigError(f"{where}: auth is not the base64 of USER:PASSWORD") from None
    return Password(user, password.rstrip("\0"))
