"""What a step's process may do: docker's capabilities, or all of them, and the IDs of its user."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ocibuild.errors import SandboxError
from ocibuild.sandbox import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.sandbox.users import User

# Docker's default set: capabilities(7), by number
_CAPABILITIES = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_FSETID": 4,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_NET_RAW": 13,
    "CAP_SYS_CHROOT": 18,
    "CAP_MKNOD": 27,
    "CAP_AUDIT_WRITE": 29,
    "CAP_SETFCAP": 31,
}

KEPT = sum(1 << number for number in _CAPABILITIES.values())
"""Docker's default set, as bits."""


def take_real_ids(user: User, *, extra_groups: bool) -> None:
    """Take the groups and the real IDs of the user, and keep the effective ones: access(2) asks for the user then."""
    with _explained(user):
        if extra_groups:
            os.setgroups(user.groups)
        os.setresgid(user.gid, -1, -1)
        os.setresuid(user.uid, -1, -1)


def last_capability() -> int:
    """Return the number of the last capability that the kernel knows; needs /proc."""
    with open("/proc/sys/kernel/cap_last_cap", "rb") as file:  # as text it would look for its codec's module
        return int(file.read())


def drop_capabilities(last: int) -> None:
    """Keep docker's default capabilities alone.

    Where this process may not (CAP_SETPCAP), a program can still get those that whoever started it left to it.
    """
    with suppress(PermissionError):
        for number in range(last + 1):
            if not KEPT & 1 << number:
                syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    syscalls.limit_capabilities(KEPT)


def take_ids_and_keep_capabilities(user: User) -> None:
    """Become the user, whoever that is with every capability, as docker's insecure steps are."""
    syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
    take_ids(user)
    syscalls.inherit_capabilities()


def take_ids(user: User) -> None:
    """Become the user, whose groups are there already; where that is not root, without capabilities."""
    with _explained(user):
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)


@contextmanager
def _explained(user: User) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise SandboxError(
            f"user {user.uid}:{user.gid}: this machine gives the build no such ID",
            remedy="give the user a range in /etc/subuid and /etc/subgid; `ocibuild doctor` tells more",
        ) from error
