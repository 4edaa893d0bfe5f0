"""What ``login`` keeps and ``logout`` forgets: entries of docker's ``config.json``, or secrets of a helper."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, assert_never

from ocibuild.errors import ConfigError
from ocibuild.registry.identity.authfile import (
    AuthFile,
    auth_file_path,
    encode_auth,
    hostname_of,
    read_auth_file,
    server_key,
)
from ocibuild.registry.identity.credentials import TOKEN_USER, IdentityToken, Password, RegistryToken
from ocibuild.registry.identity.helper import Helper, Secret
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ocibuild.registry.identity.credentials import Credential


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a credential is: in ``path``, in plain text, unless ``helper`` names the program that has it."""

    path: str
    helper: str = ""


def keep(environ: Mapping[str, str], host: str, user: str, credential: Credential) -> Kept:
    """Keep the credential of ``user`` for ``host`` where the file says, in the place of an older one.

    All else that the file says stays. It appears by rename with mode 0600, and two processes that do this at a time
    wait for each other. Raises ConfigError where the file or the helper cannot be used.
    """
    with _locked(environ) as path:
        file = read_auth_file(path) or AuthFile(path)
        name, server = file.helper(host), server_key(host)
        entry: dict[str, str] = {}
        if name:
            Helper(name, path, environ).store(server, _secret(user, credential))
        else:
            entry = _entry(user, credential)
        if file.auths.get(server) != entry:
            _write(path, {**file.document, "auths": {**file.auths, server: entry}})
        return Kept(path, f"docker-credential-{name}" if name else "")


def forget(environ: Mapping[str, str], host: str) -> bool:
    """Forget what is kept for ``host``, under every name that it may have; False where there was nothing.

    Raises ConfigError where the file or the helper cannot be used; a helper is asked after the file was written.
    """
    path = auth_file_path(environ)
    if path is None or not os.path.exists(path):
        return False
    with _locked(environ) as path:
        file = read_auth_file(path) or AuthFile(path)
        wanted, server = hostname_of(host), server_key(host)
        left = {key: entry for key, entry in file.auths.items() if hostname_of(key) != wanted}
        found = len(left) < len(file.auths)
        if found:
            _write(path, {**file.document, "auths": left})
        if name := file.helper(host):
            helper = Helper(name, path, environ)
            if helper.get(server):
                helper.erase(server)
                found = True
        return found


def _entry(user: str, credential: Credential) -> dict[str, str]:
    match credential:
        case Password(name, password):
            return {"auth": encode_auth(name, password)}
        case IdentityToken(token):
            return {"auth": encode_auth(user, ""), "identitytoken": token}
        case RegistryToken(token):
            return {"registrytoken": token}
        case _:
            assert_never(credential)


def _secret(user: str, credential: Credential) -> Secret:
    match credential:
        case Password(name, password):
            return Secret(name, password)
        case IdentityToken(token):
            return Secret(TOKEN_USER, token)
        case RegistryToken():
            raise ConfigError(f"a registry token of {user} cannot be given to a credential helper")
        case _:
            assert_never(credential)


@contextmanager
def _locked(environ: Mapping[str, str]) -> Iterator[str]:
    """Hold the lock of the file, which is ``PATH.lock``, and yield the file's path, symbolic links followed."""
    named = auth_file_path(environ)
    if named is None:
        raise ConfigError("no place for credentials: HOME is not set", remedy="name a folder in DOCKER_CONFIG")
    try:
        os.makedirs(os.path.dirname(named), mode=0o700, exist_ok=True)
        path = os.path.realpath(named)
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from error
    try:
        _give_to_owner_of(os.path.dirname(path), lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path
    finally:
        os.close(lock)


def _write(path: str, document: Mapping[str, Any]) -> None:
    import tempfile

    folder = os.path.dirname(path)
    temporary = ""
    try:
        fd, temporary = tempfile.mkstemp(prefix=".config.json.", dir=folder)  # with mode 0600
        with open(fd, "wb") as file:
            file.write(json.dumps(document, indent="\t").encode() + b"\n")
            _give_to_owner_of(path if os.path.exists(path) else folder, fd)
            file.flush()
            os.fsync(fd)
        os.rename(temporary, path)
        temporary = ""
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        if temporary:
            with suppress(OSError):
                os.unlink(temporary)
    _sync(folder)


def _give_to_owner_of(path: str, fd: int) -> None:
    """Make a file as much another user's as ``path`` is: root may work in a user's home."""
    if os.geteuid() == 0:
        owner = os.stat(path)
        os.fchown(fd, owner.st_uid, owner.st_gid)


def _sync(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
