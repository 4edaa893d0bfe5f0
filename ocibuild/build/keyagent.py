"""Keys given on the command line, served by an agent of our own: the programs of OpenSSH, ended with the build."""

from __future__ import annotations

import binascii
import re
import struct
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocibuild.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_LIMIT = 100 << 10  # bytes of a key, as in BuildKit
_KEPT = ("PATH", "HOME", "TMPDIR")
# it says where it listens, and ends when its input does: so also where we are killed
_WAIT = 'echo "$SSH_AUTH_SOCK"; cat > /dev/null; kill "$SSH_AGENT_PID"'
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----\s(.*?)-----END \1PRIVATE KEY-----", re.DOTALL)
_OPENSSH = b"openssh-key-v1\0"
_PATIENCE = 30  # seconds, for ssh-add


def check_key(path: str) -> None:
    """Raise SourceError where the file at ``path`` is no private key, or one that wants a passphrase."""
    key = _read(path)
    block = _BLOCK.search(key)
    if block is None:
        raise SourceError(f"{path}: no private key", remedy="--ssh wants the socket of an agent, or private keys")
    if _is_encrypted(block[1], block[2]):
        raise SourceError(
            f"{path}: the key is encrypted",
            remedy="add it to an agent with ssh-add, and give the build that agent: --ssh default",
        )


@contextmanager
def serving(paths: Sequence[str], environ: Mapping[str, str]) -> Iterator[str]:
    """Give the path of the socket of a new agent that has the keys at ``paths``, until the block is left.

    Raises SourceError for a key that OpenSSH does not take, or where it is not installed.
    """
    kept = {name: environ[name] for name in _KEPT if name in environ}
    with _started(["ssh-agent", "sh", "-c", _WAIT], kept) as agent:
        assert agent.stdout is not None
        place = agent.stdout.readline().decode().rstrip("\n")
        if not place:
            raise SourceError("ssh-agent does not start")
        for path in paths:
            _add(path, {**kept, "SSH_AUTH_SOCK": place})
        yield place


@contextmanager
def _started(words: Sequence[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise _missing(words[0]) from error
    with process:  # which closes its input, and waits
        yield process


def _add(path: str, environ: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            ["ssh-add", "-q", "-"],
            input=_read(path),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environ,
            start_new_session=True,  # without a terminal it asks nobody
            timeout=_PATIENCE,
            check=False,
        )
    except FileNotFoundError as error:
        raise _missing("ssh-add") from error
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"{path}: ssh-add does not end") from error
    if done.returncode:
        reason = " ".join(done.stderr.decode("utf-8", "replace").split())[:200]
        raise SourceError(f"{path}: ssh-add does not take this key: {reason}")


def _missing(program: str) -> SourceError:
    return SourceError(f"the program {program} is not on this machine", remedy="install the package openssh-client")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_LIMIT)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}", remedy="--ssh names a socket or private keys") from error


def _is_encrypted(kind: bytes, body: bytes) -> bool:
    """Tell whether a key wants a passphrase: PEM and PKCS #8 say so in the open, OpenSSH's own form names a cipher."""
    if b"ENCRYPTED" in kind or b"ENCRYPTED" in body[:200]:
        return True
    if kind != b"OPENSSH ":
        return False
    try:
        data = binascii.a2b_base64(body)
    except binascii.Error:
        return False
    if not data.startswith(_OPENSSH) or len(data) < len(_OPENSSH) + 4:
        return False
    (size,) = struct.unpack_from(">I", data, len(_OPENSSH))
    start = len(_OPENSSH) + 4
    return data[start : start + size] != b"none"
