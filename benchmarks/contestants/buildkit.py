"""docker's BuildKit, with its daemon warm."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.contestants.contestant import Kind
from benchmarks.measure import Command, CommandFailed

if TYPE_CHECKING:
    from benchmarks.machine import User
    from benchmarks.peers import Peers


@dataclass(frozen=True, slots=True)
class BuildKit:
    """The steps use the machine's network: the engine needs no bridge, and is not slowed by making one."""

    peers: Peers
    user: User

    @property
    def name(self) -> str:
        return "BuildKit"

    @property
    def kind(self) -> Kind:
        return Kind.BUILDKIT

    def version(self) -> str:
        ask = ("docker", "version", "--format", "{{.Server.Version}}")
        server = self.peers.ask(*ask, env=self._environment())
        buildx = self.peers.ask("docker", "buildx", "version", env=self._environment()).split()
        return f"docker {server} with its BuildKit, buildx {buildx[1] if len(buildx) > 1 else 'missing'} (root's daemon, warm)"

    def answers(self) -> bool:
        """Tell whether there is an engine."""
        return self.peers.ask("docker", "info", "--format", "{{.ID}}", env=self._environment()) != ""

    def daemons(self) -> tuple[int, ...]:
        """Return the engine's process, where it listens on a socket of this machine."""
        path = (self.peers.docker_host or "unix:///var/run/docker.sock").removeprefix("unix://")
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                size = struct.calcsize("iII")
                pid: int = struct.unpack("iII", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0]
        except OSError:
            return ()
        return (pid,)

    def empty(self) -> None:
        for what in ("system", "builder"):
            if not self.peers.ask("docker", what, "prune", "--all", "--force", env=self._environment()):
                raise CommandFailed(f"docker {what} prune failed")

    def build(self, context: str, tag: str) -> Command:
        argv = ("docker", "build", "--network", "host", "--progress", "plain", "--tag", tag, context)
        return Command((*self.peers.prefix, *argv), self._environment())

    def _environment(self) -> dict[str, str]:
        host = {"DOCKER_HOST": self.peers.docker_host} if self.peers.docker_host else {}
        return {**self.user.environment(), "DOCKER_BUILDKIT": "1", **host}
