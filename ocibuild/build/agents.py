"""The SSH agents of a build: ``--ssh default|ID[=SOCKET|KEY[,KEY…]]``, as docker buildx reads it."""

from __future__ import annotations

import os
import socket
import stat
import threading
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Self

from ocibuild.errors import SourceError
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ocibuild.executor.ssh import Connect

_DEFAULT = "default"
_VARIABLE = "SSH_AUTH_SOCK"
_PATIENCE = 2.0  # seconds, to connect


@dataclass(frozen=True, slots=True)
class SSHSpec:
    """An agent by its ``id``: the socket, or the keys, at ``paths``; without any, the agent of the user."""

    id: str
    paths: tuple[str, ...] = ()


def parse_ssh(text: str) -> SSHSpec:
    """Return the agent that an ``--ssh`` option names."""
    name, _, paths = text.partition("=")
    return SSHSpec(name or _DEFAULT, tuple(paths.split(",")) if paths else ())


class Agents:
    """The agents of one build: looked at when it begins; one for keys is started when a step asks for it.

    A context manager, whose end ends what it started.
    """

    def __init__(self, specs: Iterable[SSHSpec], environ: Mapping[str, str]) -> None:
        """Raise SourceError for what is not there, or is neither a socket nor keys that can be used."""
        self._environ = environ
        self._lock = threading.Lock()  # guards the two below
        self._cleanup = ExitStack()
        self._started: dict[str, str] = {}
        self._sockets: dict[str, str] = {}
        self._keys: dict[str, tuple[str, ...]] = {}
        for spec in specs:
            self._add(spec)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def __call__(self, name: str, /) -> Connect | None:
        """Return what connects to an agent, None where there is no such agent; raise SourceError."""
        if name in self._sockets:
            return partial(_connect, self._sockets[name])
        if name in self._keys:
            return partial(_connect, self._start(name))
        return None

    def _add(self, spec: SSHSpec) -> None:
        if spec.id in self._sockets or spec.id in self._keys:
            raise SourceError(f"SSH agent {spec.id}: given twice")
        paths = spec.paths or (self._environ.get(_VARIABLE, ""),)
        if paths == ("",):
            raise SourceError(
                f"SSH agent {spec.id}: {_VARIABLE} is not set", remedy="start an agent, or name its socket"
            )
        sockets = [path for path in paths if _is_socket(spec, path)]
        if not sockets:
            from ocibuild.build.keyagent import check_key

            for path in paths:
                check_key(path)
            self._keys[spec.id] = tuple(os.path.abspath(path) for path in paths)
        elif len(paths) > 1:
            raise SourceError(f"SSH agent {spec.id}: {sockets[0]} is a socket, which cannot be beside others")
        else:
            self._sockets[spec.id] = os.path.abspath(sockets[0])

    def _start(self, name: str) -> str:
        from ocibuild.build.keyagent import serving

        with self._lock:
            if name not in self._started:
                self._started[name] = self._cleanup.enter_context(serving(self._keys[name], self._environ))
            return self._started[name]


def _is_socket(spec: SSHSpec, path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError as error:
        raise SourceError(f"SSH agent {spec.id}: {path}: {error.strerror}") from error


def _connect(path: str) -> socket.socket:
    """Connect to the socket at ``path``, which may be longer than the address of a socket."""
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        agent.settimeout(_PATIENCE)
        agent.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
        agent.settimeout(None)
    except BaseException:
        agent.close()
        raise
    finally:
        os.close(folder)
    return agent
