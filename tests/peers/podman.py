"""Podman with a store of its own, as root."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.mounts import OwnMounts, own_mounts
from tests.support.peers import require_peer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Podman:
    program: str
    folder: Path
    mounts: OwnMounts

    def __call__(self, *words: str | Path) -> str:
        """Run a command of podman, which must succeed, and return its output."""
        store = ("--root", self.folder / "root", "--runroot", self.folder / "run", "--tmpdir", self.folder / "tmp")
        # neither systemd nor a logging service need be there; Debian 12's crun wants cgroups of one version
        how = ("--runtime", require_peer("runc"), "--cgroup-manager", "cgroupfs", "--events-backend", "none")
        command = [self.program, *map(str, store), *how, *map(str, words)]
        result = self.mounts.run(*command)
        assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}{result.stderr}"
        return result.stdout.strip()

    def run(self, image: str, *words: str) -> str:
        """Run a container, without a network and with limits that any root may set, and return its output."""
        how = ("--rm", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
        return self("run", *how, "--log-driver", "k8s-file", image, *words)


@contextmanager
def podman_in(folder: Path) -> Iterator[Podman]:
    """Yield podman with a store in ``folder``."""
    with own_mounts() as mounts:
        podman = Podman(require_peer("podman"), folder, mounts)
        try:
            yield podman
        finally:
            podman("rmi", "--all", "--force")
