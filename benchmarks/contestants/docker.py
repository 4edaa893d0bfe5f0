"""docker and its BuildKit, with their daemon warm."""

from __future__ import annotations

import socket
import struct
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.contestants.contestant import Contestant
from benchmarks.contestants.engine import engine
from benchmarks.measure import Command, CommandFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.machine import User
    from benchmarks.peers import Peers


_HOW = ("--network", "host", "--progress", "plain")


class Docker(Contestant):
    """The steps use the machine's network: the engine needs no bridge then, and is not slowed by one.

    What was pulled stays until the end, for there is only one store; ``folder`` is for an engine beside it.
    """

    name = "docker"

    def __init__(self, peers: Peers, user: User, folder: str) -> None:
        self._peers = peers
        self._user = user
        self._folder = folder
        host = {"DOCKER_HOST": peers.docker_host} if peers.docker_host else {}
        self._environment = {**user.environment(), "DOCKER_BUILDKIT": "1", **host}

    def version(self) -> str:
        server = self._ask("version", "--format", "{{.Server.Version}}")
        buildx = self._ask("buildx", "version").split()[1:2]
        driver = self._ask("info", "--format", "{{.Driver}}")
        return f"docker {server} and its BuildKit, buildx {' '.join(buildx) or 'missing'} (a warm daemon, {driver})"

    def answers(self) -> bool:
        """Tell whether there is an engine."""
        return self._ask("info", "--format", "{{.ID}}") != ""

    def daemons(self) -> tuple[int, ...]:
        """Return the engine's process, where it listens on a socket of this machine."""
        path = (self._peers.docker_host or "unix:///var/run/docker.sock").removeprefix("unix://")
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
        except OSError:
            return ()
        return (struct.unpack("iII", credentials)[0],)

    def empty(self) -> None:
        for what in ("system", "builder"):
            if not self._ask(what, "prune", "--all", "--force"):
                raise CommandFailed(f"docker {what} prune failed")

    def build(self, context: str, tag: str) -> Command:
        return self._build("--tag", tag, context)

    def build_and_push(self, context: str, reference: str) -> Command:
        return self._build("--push", "--tag", reference, context)

    def fill_cache(self, context: str, tag: str, cache: str) -> Command:
        return self._build("--cache-to", _cache(cache), "--tag", tag, context)

    def build_from_cache(self, context: str, tag: str, cache: str) -> Command:
        return self._build("--cache-from", _cache(cache), "--tag", tag, context)

    @contextmanager
    def elsewhere(self) -> Iterator[Contestant]:
        """Give an engine with containerd's image store, for one with overlay2 fills no cache."""
        with engine(self._peers, self._folder) as host:
            yield Docker(replace(self._peers, docker_host=host), self._user, self._folder)

    def pull(self, reference: str) -> Command:
        return self._command("pull", reference)

    def _build(self, *arguments: str) -> Command:
        return self._command("build", *_HOW, *arguments)

    def _command(self, *arguments: str) -> Command:
        return Command((*self._peers.prefix, "docker", *arguments), self._environment)

    def _ask(self, *arguments: str) -> str:
        return self._peers.ask("docker", *arguments, env=self._environment)


def _cache(repository: str) -> str:
    return f"type=registry,ref={repository}:cache"
