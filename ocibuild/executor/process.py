"""A process to be run in a root file system, as plain data."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from ocibuild.values import dataclass

if TYPE_CHECKING:
    from ocibuild.graph import ExtraHost, Ulimit
    from ocibuild.oci import Platform
    from ocibuild.sandbox import Mount


class Connection(Enum):
    """What network a process has."""

    MACHINE = "the machine's"
    NONE = "one of its own, with loopback alone"
    PASTA = "one of its own, which pasta connects"


@dataclass(frozen=True, slots=True)
class Process:
    """What to run: ``args`` whole, ``env`` as ``NAME=value``, ``user`` as in USER.

    ``mounts`` are what it sees beside the usual ones. ``insecure`` gives it every capability that the builder has.
    ``platform`` is what its programs are made for, None this machine. ``shm_size`` is that of /dev/shm in bytes, None
    for the usual one. A process that is run attached has our standard input where it is ``interactive``; with
    ``terminal`` its standard streams are a terminal of its own. Where it is ``read_only`` it can change nothing in its
    tree but through ``mounts``. ``init`` puts a first process before it that passes signals on and reaps orphans.
    Further processes come through ``door``, a path that does not exist yet, where it is not None.
    """

    args: tuple[str, ...]
    env: tuple[str, ...]
    user: str = ""
    working_dir: str = "/"
    hostname: str = "ocibuild"
    connection: Connection = Connection.MACHINE
    mounts: tuple[Mount, ...] = ()
    insecure: bool = False
    platform: Platform | None = None
    extra_hosts: tuple[ExtraHost, ...] = ()
    shm_size: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    interactive: bool = False
    terminal: bool = False
    read_only: bool = False
    init: bool = False
    door: str | None = None
