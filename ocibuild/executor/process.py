"""A process to be run in a root file system, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocibuild.oci import Platform
    from ocibuild.sandbox import Mount


@dataclass(frozen=True, slots=True)
class Process:
    """What to run: ``args`` whole, ``env`` as ``NAME=value``, ``user`` as in USER; False for ``network`` is none.

    ``mounts`` are what it sees beside the usual ones. ``insecure`` gives it every capability that the builder has.
    ``platform`` is what its programs are made for, None this machine.
    """

    args: tuple[str, ...]
    env: tuple[str, ...]
    user: str = ""
    working_dir: str = "/"
    hostname: str = "ocibuild"
    network: bool = True
    mounts: tuple[Mount, ...] = ()
    insecure: bool = False
    platform: Platform | None = None
