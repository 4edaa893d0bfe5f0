"""Landlock, for what namespaces leave open: a step with the machine's network shares its abstract sockets.

See landlock(7). No rule for files is made: those would forbid a step's own mounts, and change nothing in its root.
"""

from __future__ import annotations

import errno

from ocibuild.sandbox import syscalls

_SCOPES = 6  # the ABI that knows them, of Linux 6.12
_SCOPE_ABSTRACT_UNIX_SOCKET = 1
_SCOPE_SIGNAL = 2
_NOT_THERE = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)  # not built in; turned off at boot; filtered out around us


def scope() -> bool:
    """Keep this thread, and all that comes of it, from abstract sockets and processes that are not its own.

    Among themselves they connect, signal and trace as before. Needs CAP_SYS_ADMIN or no_new_privs, as a filter of
    system calls does. Return False, and change nothing, where the kernel is too old or has no Landlock.
    """
    try:
        if syscalls.landlock_abi() < _SCOPES:
            return False
    except OSError as error:
        if error.errno in _NOT_THERE:
            return False
        raise
    syscalls.restrict_scope(_SCOPE_ABSTRACT_UNIX_SOCKET | _SCOPE_SIGNAL)
    return True
