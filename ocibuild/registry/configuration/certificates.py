"""Certificates of single registries, in folders as docker and podman have them.

::

    certs.d/
    └── registry.example:5000/     the host, with its port where it has one
        ├── any.crt                an authority to trust, beside the system's
        ├── client.cert            who we are, with the key of the same name
        └── client.key
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ocibuild.errors import ConfigError
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The paths of a client certificate and of its key, both PEM."""

    cert: str
    key: str


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths of authorities to trust, and the client certificates to show."""

    ca: tuple[str, ...] = ()
    pairs: tuple[KeyPair, ...] = ()


def usual_certificate_folders(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return where docker and podman look: the user's folders, then those of the machine."""
    home = environ.get("HOME")
    config = environ.get("XDG_CONFIG_HOME") or (os.path.join(home, ".config") if home else None)
    own = [os.path.join(config, tool, "certs.d") for tool in ("docker", "containers")] if config else []
    return (*own, "/etc/docker/certs.d", "/etc/containers/certs.d")


def has_folder(host: str, folders: Sequence[str]) -> bool:
    """Tell whether there is a folder for ``host`` in any of ``folders``."""
    return any(os.path.isdir(folder) for folder in _folders_of(host, folders))


def find_certificates(host: str, folders: Sequence[str]) -> Certificates:
    """Return what the folders hold for ``host`` (with its port, where it has one), in order of folders and names.

    A folder that we may not read is one that is not there. Raises ConfigError where a certificate has no key, or a key
    no certificate.
    """
    authorities: list[str] = []
    pairs: list[KeyPair] = []
    for folder in _folders_of(host, folders):
        names = _names(folder)
        authorities += (os.path.join(folder, name) for name in names if name.endswith(".crt"))
        pairs += _pairs(folder, names)
    return Certificates(tuple(authorities), tuple(pairs))


def _folders_of(host: str, folders: Sequence[str]) -> list[str]:
    if not host or "/" in host or host.startswith("."):  # no host, but a way to another folder
        return []
    return [os.path.join(folder, host.lower()) for folder in folders]


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}") from error


def _pairs(folder: str, names: Sequence[str]) -> list[KeyPair]:
    pairs = []
    for name in names:
        stem, dot, kind = name.rpartition(".")
        if kind == "cert" and dot and f"{stem}.key" not in names:
            raise ConfigError(
                f"{os.path.join(folder, name)}: the key {stem}.key is missing",
                remedy="put it there; an authority is called NAME.crt",
            )
        if kind == "key" and dot and f"{stem}.cert" not in names:
            raise ConfigError(f"{os.path.join(folder, name)}: the certificate {stem}.cert is missing")
        if kind == "cert" and dot:
            pairs.append(KeyPair(os.path.join(folder, name), os.path.join(folder, f"{stem}.key")))
    return pairs
