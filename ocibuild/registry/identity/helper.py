"""Credential helpers: programs that keep credentials for docker, such as ``docker-credential-pass``.

A helper is run as ``docker-credential-NAME get``, ``store`` or ``erase``; what it is given comes on its standard input,
never in its arguments. See docker's documentation of ``docker login``, "Credential helper protocol".
"""

from __future__ import annotations

import json
import os
import select
import time
from dataclasses import field
from typing import TYPE_CHECKING

from ocibuild.errors import ConfigError
from ocibuild.values import dataclass

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

_NOT_FOUND = "credentials not found in native keychain"  # what every helper prints for "none"
_ANSWER_LIMIT = 1 << 20  # bytes
_PIECE = 64 << 10
_SHOWN = 200  # characters of what a helper says when it fails


@dataclass(frozen=True, slots=True)
class Secret:
    """What a helper keeps for a server; the user ``<token>`` says that ``secret`` is an identity token."""

    user: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Helper:
    """The helper ``docker-credential-NAME``; ``source`` is where its name stands, ``seconds`` how long we wait for it.

    Every method raises ConfigError where the program cannot be run, fails, or does not end in time.
    """

    name: str
    source: str
    environ: Mapping[str, str] = field(repr=False, default_factory=dict)
    seconds: float = 60

    @property
    def program(self) -> str:
        """The name of its program."""
        return f"docker-credential-{self.name}"

    def get(self, server: str) -> Secret | None:
        """Return what is kept for ``server``, None where nothing is."""
        status, answer = self._run("get", server.encode())
        if status != 0:
            if _is_not_found(answer):
                return None
            raise self._failed(status, answer)
        try:
            document = json.loads(answer)
            user, secret = document["Username"], document["Secret"]
        except (ValueError, KeyError, TypeError, RecursionError):
            user = secret = None
        if not isinstance(user, str) or not isinstance(secret, str):
            raise ConfigError(f"{self.program}: its answer for {server} has no Username and Secret")
        return Secret(user, secret)

    def store(self, server: str, secret: Secret) -> None:
        """Keep ``secret`` for ``server``, in the place of what was kept before."""
        document = {"ServerURL": server, "Username": secret.user, "Secret": secret.secret}
        status, answer = self._run("store", json.dumps(document).encode())
        if status != 0:
            raise self._failed(status, answer, hidden=secret.secret)

    def erase(self, server: str) -> None:
        """Forget what is kept for ``server``; it may be nothing."""
        status, answer = self._run("erase", server.encode())
        if status != 0 and not _is_not_found(answer):
            raise self._failed(status, answer)

    def _run(self, action: str, given: bytes) -> tuple[int, bytes]:
        """Return exit status and standard output; the program is stopped where it takes too long or says too much."""
        import subprocess

        if "/" in self.name:
            raise ConfigError(f"{self.source}: {self.program!r} is not the name of a credential helper")
        until = time.monotonic() + self.seconds
        # a file in memory: a program that reads nothing cannot stop us
        with open(os.memfd_create("credential", os.MFD_CLOEXEC), "w+b") as stdin:
            stdin.write(given)
            stdin.seek(0)
            try:
                process = subprocess.Popen(
                    [self.program, action],
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=dict(self.environ),
                )
            except OSError as error:
                remedy = f"install it, or remove it from {self.source}"
                raise ConfigError(f"{self.program}: {error.strerror}", remedy=remedy) from error
        with process:
            try:
                answer = self._read(process, until)
                return process.wait(max(0.0, until - time.monotonic())), answer
            except (TimeoutError, subprocess.TimeoutExpired) as error:
                raise ConfigError(f"{self.program}: no answer within {self.seconds:g} seconds") from error
            finally:
                process.kill()

    def _read(self, process: subprocess.Popen[bytes], until: float) -> bytes:
        assert process.stdout
        poll = select.poll()
        poll.register(process.stdout, select.POLLIN | select.POLLHUP)
        answer = bytearray()
        while True:
            left = until - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError
            piece = os.read(process.stdout.fileno(), _PIECE)
            if not piece:
                return bytes(answer)
            answer += piece
            if len(answer) > _ANSWER_LIMIT:
                raise ConfigError(f"{self.program}: it answers with more than {_ANSWER_LIMIT} bytes")

    def _failed(self, status: int, answer: bytes, hidden: str = "") -> ConfigError:
        """Return what a helper says as an error, in one line and without the secret that it may repeat."""
        text = answer.decode(errors="replace").strip()
        if text and '"Secret"' not in text and not (hidden and hidden in text):
            return ConfigError(f"{self.program}: {text.splitlines()[0][:_SHOWN]}")
        return ConfigError(f"{self.program}: exit status {status}")


def _is_not_found(answer: bytes) -> bool:
    return answer.decode(errors="replace").strip() == _NOT_FOUND
