"""A process that may do as little as one in a container that grants nothing; for tests, in a child of their own."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ocibuild.sandbox import syscalls
from ocibuild.sandbox.privileges import KEPT, drop_capabilities, last_capability
from ocibuild.sandbox.seccomp import Rule, any_of, compile_rules, install, refuse
from tests.support.lab import become_user

if TYPE_CHECKING:
    from ocibuild.sandbox.seccomp import Action

_NEW_TIME = 0x80  # CLONE_NEWTIME
_NAMESPACES = (
    syscalls.CLONE_NEWNS | syscalls.CLONE_NEWCGROUP | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNET | _NEW_TIME
)  # fmt: skip
CAP_SYS_PTRACE, CAP_MKNOD = 1 << 19, 1 << 27
_REFUSED = (
    "unshare", "setns", "mount", "umount2", "pivot_root", "fsopen", "fsmount", "open_tree", "move_mount",
)  # fmt: skip


def refuse_namespaces() -> None:
    """Have the kernel refuse this process namespaces and mounts, as docker's default profile does; as root."""
    no: Action = refuse(errno.EPERM)
    rules = [
        Rule(_REFUSED, no),
        Rule(("clone",), no, (any_of(0, _NAMESPACES),)),
        Rule(("clone3",), refuse(errno.ENOSYS)),
    ]
    install(compile_rules(rules, machine=os.uname().machine))


def be_root_of_container(*, tracing: bool = False) -> None:
    """Be root as in a container by default: with docker's capabilities, without namespaces.

    With ``tracing`` it has CAP_SYS_PTRACE too.
    """
    refuse_namespaces()
    if tracing:
        syscalls.limit_capabilities(KEPT | CAP_SYS_PTRACE)
    else:
        drop_capabilities(last_capability())


def be_user_of_container(uid: int) -> None:
    """Be an ordinary user who gets no namespaces."""
    refuse_namespaces()
    become_user(uid)
