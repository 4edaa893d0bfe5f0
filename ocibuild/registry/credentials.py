"""Who we are to a registry: docker's ``config.json``, ``DOCKER_AUTH_CONFIG`` and credential helpers.

See docker's documentation of ``docker login`` ("Credential stores", "Credential helper protocol").
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from ocibuild.errors import ConfigError
from ocibuild.registry.config import is_hub

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HUB_KEY = "https://index.docker.io/v1/"
_HELPER_SECONDS = 60
_NOT_FOUND = "credentials not found in native keychain"  # what every helper prints for "none"


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


@dataclass(frozen=True, slots=True)
class _AuthFile:
    """One document in the form of ``config.json``; ``name`` is where it came from."""

    name: str
    auths: Mapping[str, Any] = field(repr=False, default_factory=dict)
    helpers: Mapping[str, Any] = field(default_factory=dict)
    store: str = ""


class Credentials:
    """The credentials that the user keeps, asked for by host; safe to use from threads.

    Documents are asked in order; in each the host's helper first, then the general one, then ``auths``. A helper is
    run once for a host.
    """

    def __init__(self, files: Iterable[_AuthFile] = (), *, environ: Mapping[str, str] | None = None) -> None:
        self._files = tuple(files)
        self._environ = dict(environ or {})
        self._known: dict[str, Credential | None] = {}
        self._lock = threading.Lock()  # guards _known

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Credentials:
        """Read ``DOCKER_AUTH_CONFIG``, then ``$DOCKER_CONFIG/config.json`` (``~/.docker``); both may be missing.

        Raises ConfigError for one that is not what docker writes.
        """
        files = []
        if text := environ.get("DOCKER_AUTH_CONFIG"):
            files.append(_parse(text.encode(), "DOCKER_AUTH_CONFIG"))
        home = environ.get("HOME")
        folder = environ.get("DOCKER_CONFIG") or (os.path.join(home, ".docker") if home else None)
        path = folder and os.path.join(folder, "config.json")
        if path and (document := _read(path)) is not None:
            files.append(_parse(document, path))
        return cls(files, environ=environ)

    def for_host(self, host: str) -> Credential | None:
        """Return what to show to ``host`` (with its port, where it has one), None for an anonymous user.

        Raises ConfigError where an entry is broken or its helper fails.
        """
        with self._lock:
            if host not in self._known:
                found = (self._look_up(file, host) for file in self._files)
                self._known[host] = next((credential for credential in found if credential), None)
            return self._known[host]

    def _look_up(self, file: _AuthFile, host: str) -> Credential | None:
        if helper := _match(file.helpers, host) or file.store:
            credential = _ask_helper(str(helper), _HUB_KEY if is_hub(host) else host, file.name, self._environ)
            if credential:
                return credential
        entry = _match(file.auths, host)
        return None if entry is None else _from_entry(entry, f"{file.name}: auths: {host}")


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def _parse(text: bytes, name: str) -> _AuthFile:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        # The error's text may quote the document, which holds secrets.
        raise ConfigError(f"{name}: not JSON", remedy='it looks like {"auths": {"HOST": {"auth": "…"}}}') from error
    auths, helpers = (_member(document, key, name) for key in ("auths", "credHelpers"))
    store = document.get("credsStore") or ""
    if not isinstance(store, str):
        raise ConfigError(f"{name}: credsStore must be a string")
    return _AuthFile(name, auths, helpers, store)


def _member(document: object, key: str, name: str) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise ConfigError(f"{name}: must be a JSON object")
    value = document.get(key) or {}
    if not isinstance(value, dict):
        raise ConfigError(f"{name}: {key} must be an object")
    return value


def _match(entries: Mapping[str, Any], host: str) -> Any:
    """Return the entry for ``host``: under its very name, or under a URL of that host as old versions wrote it."""
    if host in entries:
        return entries[host]
    wanted = _hostname(host)
    return next((entry for key, entry in entries.items() if _hostname(key) == wanted), None)


def _hostname(key: str) -> str:
    host = key.partition("://")[2] or key
    host = host.partition("/")[0].lower()
    return "docker.io" if is_hub(host) else host


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
    import base64

    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        colon = ""
    if not colon:
        # Without the cause: its traceback would show the secret.
        raise ConfigError(f"{where}: auth is not the base64 of USER:PASSWORD") from None
    return Password(user, password.rstrip("\0"))


def _ask_helper(helper: str, server: str, name: str, environ: Mapping[str, str]) -> Credential | None:
    """Run ``docker-credential-HELPER get``: the server on stdin, JSON with Username and Secret on stdout."""
    import subprocess

    program = f"docker-credential-{helper}"
    if "/" in helper:
        raise ConfigError(f"{name}: {program!r} is not the name of a credential helper")
    try:
        done = subprocess.run(
            [program, "get"],
            input=server.encode(),
            capture_output=True,
            env=dict(environ),
            timeout=_HELPER_SECONDS,
            check=False,
        )
    except OSError as error:
        raise ConfigError(f"{program}: {error.strerror}", remedy=f"install it, or remove it from {name}") from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"{program}: no answer within {_HELPER_SECONDS} seconds") from error
    return _helper_answer(program, server, done.returncode, done.stdout)


def _helper_answer(program: str, server: str, status: int, answer: bytes) -> Credential | None:
    if status != 0:
        reason = answer.decode(errors="replace").strip()
        if reason == _NOT_FOUND:
            return None
        raise ConfigError(f"{program}: {reason[:200].splitlines()[0] if reason else f'exit status {status}'}")
    try:
        document = json.loads(answer)
        user, secret = document["Username"], document["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        user = secret = None
    if not isinstance(user, str) or not isinstance(secret, str):
        raise ConfigError(f"{program}: its answer for {server} has no Username and Secret")
    return IdentityToken(secret) if user == "<token>" else Password(user, secret)
