"""What a process cannot be given where neither namespaces nor mounts are to be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import SandboxError
from ocibuild.executor.process import Connection

if TYPE_CHECKING:
    from ocibuild.executor.process import Process

_REMEDY = "allow namespaces, as `ocibuild doctor` tells, or leave it out"


def refuse_unshared(process: Process, *, where: str) -> None:
    """Refuse, by the name of its option, what takes a network or a mount of the process's own; raise SandboxError."""
    if process.connection is not Connection.MACHINE:
        raise SandboxError(
            f"--network={process.connection.name.lower()}: {where} gives a step no network of its own", remedy=_REMEDY
        )
    if process.read_only:
        raise SandboxError(f"--read-only: {where} gives a step a tree that it can write to", remedy=_REMEDY)
    if process.init:
        raise SandboxError(f"--init: {where} gives a step no PID namespace of its own", remedy=_REMEDY)
    if process.shm_size is not None:
        raise SandboxError(
            f"--shm-size: {where} gives a step an ordinary folder for /dev/shm, which has no size of its own",
            remedy=_REMEDY,
        )
