"""The kernel's side of a supervisor: system calls that wait for an answer; see seccomp_unotify(2)."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import suppress

from ocibuild.values import NamedTuple

# struct seccomp_notif, seccomp_notif_resp and seccomp_notif_addfd
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_DESCRIPTOR = struct.Struct("=QIIII")


def _request(direction: int, number: int, size: int) -> int:
    """Return the number of an ioctl of seccomp, as _IOC() makes it."""
    if os.uname().machine.startswith("ppc"):
        return {1: 4, 2: 2, 3: 6}[direction] << 29 | size << 16 | ord("!") << 8 | number
    return direction << 30 | size << 16 | ord("!") << 8 | number


_WRITE, _READ_AND_WRITE = 1, 3
_RECEIVE = _request(_READ_AND_WRITE, 0, _NOTIFICATION.size)
_SEND = _request(_READ_AND_WRITE, 1, _ANSWER.size)
_IS_VALID = _request(_WRITE, 2, 8)
_ADD = _request(_WRITE, 3, _DESCRIPTOR.size)
_SET_FLAGS = _request(_WRITE, 4, 8)

_WAKE_UP_AT_ONCE = 1  # SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP, Linux 6.6
_CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
_AND_SEND = 2  # SECCOMP_ADDFD_FLAG_SEND


class Notification(NamedTuple):
    """A system call that waits: ``pid`` is the thread, in this process's PID namespace."""

    id: int
    pid: int
    flags: int
    number: int
    architecture: int
    instruction: int
    first: int
    second: int
    third: int
    fourth: int
    fifth: int
    sixth: int


class Listener:
    """The descriptor that seccomp(2) gave for a filter; readable where a call waits."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray(_NOTIFICATION.size)
        self._zeros = bytes(_NOTIFICATION.size)
        with suppress(OSError):
            fcntl.ioctl(fd, _SET_FLAGS, _WAKE_UP_AT_ONCE)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def receive(self) -> Notification | None:
        """Take the next call; None where its process is gone, or every process is."""
        self._buffer[:] = self._zeros  # the kernel insists
        try:
            fcntl.ioctl(self._fd, _RECEIVE, self._buffer, True)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINTR):
                raise
            return None
        return Notification._make(_NOTIFICATION.unpack(self._buffer))

    def is_waiting(self, call: Notification) -> bool:
        """Say whether a call still waits: then what was read of its process was not another's of that number."""
        try:
            fcntl.ioctl(self._fd, _IS_VALID, struct.pack("=Q", call.id))
        except OSError:
            return False
        return True

    def proceed(self, call: Notification) -> None:
        """Let the kernel do the call as it is."""
        self._send(call, 0, 0, _CONTINUE)

    def succeed(self, call: Notification, value: int = 0) -> None:
        """Answer with a result."""
        self._send(call, value, 0, 0)

    def fail(self, call: Notification, number: int) -> None:
        """Answer with an error of errno(3)."""
        self._send(call, 0, -number, 0)

    def give(self, call: Notification, fd: int, *, close_on_exec: bool) -> None:
        """Answer with a new descriptor of the process, a copy of ``fd``."""
        flags = os.O_CLOEXEC if close_on_exec else 0
        request = _DESCRIPTOR.pack(call.id, _AND_SEND, fd, 0, flags)
        try:
            fcntl.ioctl(self._fd, _ADD, request)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return
            self.fail(call, error.errno or errno.EIO)

    def _send(self, call: Notification, value: int, error: int, flags: int) -> None:
        try:
            fcntl.ioctl(self._fd, _SEND, _ANSWER.pack(call.id, value, error, flags))
        except OSError as problem:
            if problem.errno != errno.ENOENT:  # a signal ended the call, or its process
                raise
