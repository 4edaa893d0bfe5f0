"""Limits of a process, by the names that docker has for them: setrlimit(2)."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

from ocibuild.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterable

RLIMIT_LOCKS = 10
"""The limit on file locks, which Python has no name for, and no kernel since Linux 2.4 keeps to."""


def take_ulimits(limits: Iterable[tuple[str, int, int]], *, numbered: bool = False) -> None:
    """Have this process and all that it starts keep to limits: name, soft and hard one, -1 for none.

    Where processes are to be ``numbered``, a supervisor keeps their numbers in the limit of locks. Only
    CAP_SYS_RESOURCE of the machine's own user namespace raises a hard limit; raises SandboxError without it.
    """
    for name, soft, hard in limits:
        if name == "locks" and numbered:
            raise SandboxError(
                "ulimit locks: ocibuild itself uses it here, and no kernel since Linux 2.4 keeps to it",
                remedy="leave it out",
            )
        number = RLIMIT_LOCKS if name == "locks" else getattr(resource, f"RLIMIT_{name.upper()}")
        try:
            resource.setrlimit(number, (soft, hard))
        except (ValueError, OSError) as error:  # EPERM is a ValueError in Python
            own = resource.getrlimit(number)[1]
            raise SandboxError(
                f"ulimit {name}: the hard limit {_shown(hard)} is above that of ocibuild, {_shown(own)}",
                remedy="ask for less, or raise the limit of what starts ocibuild",
            ) from error


def _shown(limit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)
