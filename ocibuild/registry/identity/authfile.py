"""Docker's ``config.json`` as a value: which entry and which helper are for a host.

::

    {
      "auths": {
        "registry.example": {"auth": "BASE64 OF USER:PASSWORD"},
        "https://index.docker.io/v1/": {"auth": "BASE64 OF USER:", "identitytoken": "REFRESH TOKEN"},
        "other.example": {}                         a helper has it
      },
      "credHelpers": {"other.example": "pass"},     the helper docker-credential-pass
      "credsStore": "secretservice"                 the helper for all others
    }
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import field
from typing import TYPE_CHECKING, Any

from ocibuild.errors import ConfigError
from ocibuild.registry.configuration.config import domain_of, is_hub
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

_HUB_KEY = "https://index.docker.io/v1/"


@dataclass(frozen=True, slots=True)
class AuthFile:
    """One document in the form of ``config.json``; ``name`` is where it came from, ``document`` all that it says."""

    name: str
    document: Mapping[str, Any] = field(repr=False, default_factory=dict)
    auths: Mapping[str, Any] = field(repr=False, default_factory=dict)
    helpers: Mapping[str, str] = field(default_factory=dict)
    store: str = ""

    @classmethod
    def parse(cls, text: bytes, name: str) -> AuthFile:
        """Read a document; raises ConfigError, without its text, for what docker does not write."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            # Without the cause: its text and its traceback may quote the document, which holds secrets.
            remedy = 'it looks like {"auths": {"HOST": {"auth": "…"}}}'
            raise ConfigError(f"{name}: not JSON", remedy=remedy) from None
        auths, helpers = (_member(document, key, name) for key in ("auths", "credHelpers"))
        store = document.get("credsStore") or ""
        if not isinstance(store, str):
            raise ConfigError(f"{name}: credsStore must be a string")
        if not all(isinstance(helper, str) for helper in helpers.values()):
            raise ConfigError(f"{name}: credHelpers must be an object of strings")
        return cls(name, document, auths, helpers, store)

    def helper(self, host: str) -> str:
        """Return the name of the helper for ``host``, its own or else the general one; empty where ``auths`` counts."""
        own: str | None = match(self.helpers, host)
        return self.store if own is None else own

    def entry(self, host: str) -> Any:
        """Return the entry of ``host`` in ``auths``, None where there is none."""
        return match(self.auths, host)


def read_auth_file(path: str) -> AuthFile | None:
    """Return the document at ``path``, None where there is no file; raises ConfigError where it cannot be used."""
    try:
        with open(path, "rb") as file:
            return AuthFile.parse(file.read(), path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def auth_file_path(environ: Mapping[str, str]) -> str | None:
    """Return where ``config.json`` is: in ``$DOCKER_CONFIG``, else in ``~/.docker``; None for a user without a home."""
    home = environ.get("HOME")
    folder = environ.get("DOCKER_CONFIG") or (os.path.join(home, ".docker") if home else None)
    return os.path.join(folder, "config.json") if folder else None


def server_key(host: str) -> str:
    """Return what docker calls a registry in its file and to helpers: its host, but for Docker Hub a URL."""
    return _HUB_KEY if is_hub(host) else host


def hostname_of(key: str) -> str:
    """Return the host, with its port, that a key of the file is for: old versions wrote URLs."""
    host = key.partition("://")[2] or key
    return domain_of(host.partition("/")[0].lower())


def match(entries: Mapping[str, Any], host: str) -> Any:
    """Return the entry for ``host``: under the name that docker writes, else under another name of that host."""
    for key in (host, server_key(host)):
        if key in entries:
            return entries[key]
    wanted = hostname_of(host)
    return next((entry for key, entry in entries.items() if hostname_of(key) == wanted), None)


def encode_auth(user: str, password: str) -> str:
    """Return the member ``auth`` of an entry."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def _member(document: object, key: str, name: str) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise ConfigError(f"{name}: must be a JSON object")
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{name}: {key} must be an object")
    return value
