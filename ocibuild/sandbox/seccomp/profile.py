"""What a step's system calls may be: what docker's default profile allows to its default capabilities.

Docker lists what is allowed; the outcome of this list of what is refused is the same, but for calls that no kernel has
any more and those of the 1990s that no C library has made since: they are left to the kernel. As with docker,
socketcall(2) of i386 and s390x is open, since its arguments cannot be seen. See
https://docs.docker.com/engine/security/seccomp/ and https://github.com/moby/profiles/blob/main/seccomp/default.json.
"""

from __future__ import annotations

import errno
import os
from functools import cache

from ocibuild.errors import SandboxError
from ocibuild.sandbox import syscalls
from ocibuild.sandbox.seccomp.install import install
from ocibuild.sandbox.seccomp.program import ALLOW, Rule, any_of, compile_rules, equal_int, refuse

NEWEST = 466
"""removexattrat(2), the newest call that the profile knows: what is newer does not exist for a step."""

_EPERM, _ENOSYS = refuse(errno.EPERM), refuse(errno.ENOSYS)

_NEW_NAMESPACES = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWCGROUP
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWNET
)
_REFUSED = (
    # mounts and namespaces
    "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_tree", "pivot_root",
    "setns", "umount", "umount2", "unshare",
    # keyrings, which no namespace keeps apart
    "add_key", "keyctl", "request_key",
    # the machine: its clock, names, swap, log and quotas
    "acct", "clock_settime", "clock_settime64", "quotactl", "quotactl_fd", "reboot", "setdomainname", "sethostname",
    "settimeofday", "stime", "swapoff", "swapon", "syslog", "vhangup",
    # code in the kernel, and ports and other hardware
    "bpf", "delete_module", "finit_module", "init_module", "ioperm", "iopl", "kexec_file_load", "kexec_load",
    "pciconfig_iobase", "pciconfig_read", "pciconfig_write", "rtas", "s390_guarded_storage", "s390_sthyi", "spu_create",
    "spu_run", "subpage_prot", "switch_endian", "sys_debug_setcontext", "vm86", "vm86old",
    # memory and processors of other processes
    "get_mempolicy", "kcmp", "mbind", "migrate_pages", "move_pages", "perf_event_open", "pidfd_getfd",
    "process_madvise", "set_mempolicy", "set_mempolicy_home_node",
    # what exploits of the kernel go through
    "fanotify_init", "io_uring_enter", "io_uring_register", "io_uring_setup", "open_by_handle_at", "userfaultfd",
    # security modules, which are the machine's
    "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr",
    # what hardly a kernel has any more
    "_sysctl", "lookup_dcookie", "nfsservctl", "sysfs", "uselib", "ustat",
)  # fmt: skip

# PER_LINUX, PER_LINUX32, each alone and with UNAME26, and the question which it is
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
# AF_DECnet, AF_ECONET, AF_ATMSVC, AF_IRDA, AF_WANPIPE, AF_ISDN, AF_CAIF, AF_ALG, AF_VSOCK
_SOCKET_FAMILIES = (12, 19, 20, 23, 25, 34, 37, 38, 40)


def rules(machine: str) -> tuple[Rule, ...]:
    """Return the rules of a step on a machine, as uname(2) names it."""
    flags = 1 if machine == "s390x" else 0  # the place of clone(2)'s flags among its arguments
    return (
        Rule(("clone",), _EPERM, when=(any_of(flags, _NEW_NAMESPACES),)),
        # its flags cannot be seen: C libraries take clone(2) then
        Rule(("clone3",), _ENOSYS),
        *(Rule(("socket",), _EPERM, when=(equal_int(0, family),)) for family in _SOCKET_FAMILIES),
        *(Rule(("personality",), ALLOW, when=(equal_int(0, value),)) for value in _PERSONALITIES),
        Rule(("personality",), _EPERM),
        Rule(_REFUSED, _EPERM),
    )


@cache
def program() -> bytes:
    """Return the filter of a step on this machine."""
    machine = os.uname().machine
    return compile_rules(rules(machine), machine=machine, newest=NEWEST)


def enforce() -> None:
    """Put the filter in force for this thread; see ``install()``. Raises SandboxError where the kernel refuses it."""
    try:
        install(program())
    except OSError as error:
        raise SandboxError(
            f"system calls of a step cannot be filtered: {error.strerror}",
            remedy="allow seccomp(2) where the build runs, with a kernel that has CONFIG_SECCOMP_FILTER",
        ) from error
