"""The system calls that a supervisor answers: their names, and where they have their arguments."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ocibuild.sandbox import syscalls
from ocibuild.sandbox.seccomp.numbers import ABIS
from ocibuild.sandbox.seccomp.program import NOTIFY, Rule, any_of, equal_int, refuse
from ocibuild.sandbox.supervisor.status import MACHINES
from ocibuild.sandbox.ulimits import RLIMIT_LOCKS
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocibuild.sandbox.supervisor.notifications import Notification

ID = 0xFFFFFFFF
"""The bits of an argument that is a user or group ID."""
O_TMPFILE = os.O_TMPFILE & ~os.O_DIRECTORY
"""The bit that tells it from an open directory."""

IDENTITIES = (
    "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups",
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups",
)  # fmt: skip
_WIDE = tuple(f"{name}32" for name in IDENTITIES)  # i386 and arm: the others have IDs of 16 bits there
_OWNERS = ("chown", "lchown", "fchown", "fchownat", "chown32", "lchown32", "fchown32")
_MAKING = ("mkdir", "mkdirat", "symlink", "symlinkat", "mknod", "mknodat", "creat", "openat2")
_OTHERS = ("execve", "execveat", "chroot")
LOOKING = ("stat", "lstat", "fstat", "newfstatat")

_USUAL = (
    Rule((*IDENTITIES, *_WIDE, *_OWNERS, *_MAKING, *_OTHERS), NOTIFY),
    Rule(("open",), NOTIFY, (any_of(1, os.O_CREAT | O_TMPFILE),)),
    Rule(("openat",), NOTIFY, (any_of(2, os.O_CREAT | O_TMPFILE),)),
    Rule(("prctl",), NOTIFY, (equal_int(0, syscalls.PR_SET_KEEPCAPS),)),
    # a process's number is ours, whatever pam_limits(8) sets limits to
    Rule(("setrlimit",), refuse(0), (equal_int(0, RLIMIT_LOCKS),)),
    Rule(("prlimit64",), refuse(0), (equal_int(1, RLIMIT_LOCKS), any_of(2, (1 << 64) - 1))),
)
# who names a file, which may be a symbolic link: its time of access is its owner
_TIMES = (Rule(("utimensat",), NOTIFY, (any_of(1, (1 << 64) - 1),)),)
NATIVE = (*LOOKING, "utimensat")
"""Calls whose arguments have a form that is known for the machine's own architecture alone."""
# without statx(2), of which Python knows nothing, C libraries fall back to the others
_STATUS = (Rule(LOOKING, NOTIFY), Rule(("statx",), refuse(errno.ENOSYS)))


_CAPABILITIES = (
    Rule(
        (
            *("setxattr", "lsetxattr", "fsetxattr", "getxattr", "lgetxattr", "fgetxattr"),
            *("removexattr", "lremovexattr", "fremovexattr"),
        ),
        NOTIFY,
    ),
    Rule(("capset",), refuse(0)),
)


def rules_of(machine: str, *, capabilities: bool = True) -> tuple[Rule, ...]:
    """Return what is to be handed to the supervisor: who one is, who files belong to, and whatever makes a file.

    With ``capabilities`` those of programs are its concern too, where the kernel lets nobody set them.
    """
    rules = (*_USUAL, *_TIMES, *_STATUS) if machine in MACHINES else (*_USUAL, *_TIMES)
    return (*rules, *_CAPABILITIES) if capabilities else rules


def pretending_rules() -> tuple[Rule, ...]:
    """Return what is to look done where no supervisor is possible: files and processes stay root's."""
    telling_more = ("getresuid", "getresgid", "getgroups")
    simple = tuple(name for name in (*IDENTITIES, *_WIDE) if name.removesuffix("32") not in telling_more)
    return (Rule((*simple, *_OWNERS), refuse(0)),)


def names_of(machine: str) -> Mapping[tuple[int, int], str]:
    """Return the names of these calls, by architecture and number; those for IDs of 32 bits without that suffix."""
    return {
        (abi.audit_arch, number): name.removesuffix("32")
        for abi in ABIS[machine]
        for rule in rules_of(machine)
        if rule.action == NOTIFY
        for name in rule.names
        if (number := abi.number(name)) is not None
    }


class Place(NamedTuple):
    """What a call says of a file: the directory that its path is relative to, where that is, and how it is taken."""

    dir_fd: int
    address: int
    follow: bool = True
    may_be_empty: bool = False

    @classmethod
    def of_descriptor(cls, value: int) -> Place:
        """Return the open file that an argument is the descriptor of."""
        return cls(signed(value), 0, may_be_empty=True)


class Arguments:
    """The arguments of a call, by the places that its form with and without ``at`` has them in."""

    def __init__(self, call: Notification, *, at: bool) -> None:
        self._values = call[6:]
        self._at = at
        self._first = 1 if at else 0

    def __getitem__(self, place: int) -> int:
        """Return an argument; the first is the path."""
        return self._values[self._first + place]

    def place(self, place: int = 0, *, flags: int = 0, follow: bool = True) -> Place:
        """Return the file that an argument names."""
        dir_fd = signed(self._values[self._first + place - 1]) if self._at else syscalls.AT_FDCWD
        follow = follow and not flags & syscalls.AT_SYMLINK_NOFOLLOW
        return Place(dir_fd, self[place], follow, bool(flags & syscalls.AT_EMPTY_PATH))


def signed(value: int) -> int:
    """Return an argument as the int that the kernel takes it for."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value
