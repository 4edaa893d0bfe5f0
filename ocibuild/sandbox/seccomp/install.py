"""Putting a filter in force; see seccomp(2) and seccomp_unotify(2)."""

from __future__ import annotations

import errno

from ocibuild.sandbox import syscalls

_SPEC_ALLOW = 4  # before Linux 5.16 every process with a filter would run slower
_NEW_LISTENER = 8
_WAIT_KILLABLE_RECV = 32


def install(program: bytes, *, listener: bool = False) -> int | None:
    """Put a filter in force for this thread, for all that it forks, and for every program it executes, for good.

    The thread needs CAP_SYS_ADMIN in its user namespace, or must have set no_new_privs, which setuid programs do not
    survive: else PermissionError. With ``listener``, return the descriptor that NOTIFY tells, closed on exec; a
    process has one listener at most. Once a supervisor has taken a notification, only what kills a process
    interrupts its call, from Linux 5.19 on.
    """
    if not listener:
        _try_each(program, (_SPEC_ALLOW, 0))
        return None
    return _try_each(
        program, (_NEW_LISTENER | _WAIT_KILLABLE_RECV | _SPEC_ALLOW, _NEW_LISTENER | _SPEC_ALLOW, _NEW_LISTENER)
    )


def _try_each(program: bytes, choices: tuple[int, ...]) -> int:
    """Install with the first of these flags that the kernel knows."""
    for flags in choices[:-1]:
        try:
            return syscalls.set_filter(program, flags)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
    return syscalls.set_filter(program, choices[-1])
