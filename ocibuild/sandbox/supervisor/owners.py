"""chown(2) and its siblings: who a file belongs to."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

from ocibuild.sandbox import syscalls
from ocibuild.sandbox.supervisor import files
from ocibuild.sandbox.supervisor.calls import ID, Arguments, Place
from ocibuild.sandbox.supervisor.credentials import Refused
from ocibuild.sandbox.supervisor.views import Elsewhere

if TYPE_CHECKING:
    from ocibuild.sandbox.supervisor.desk import Answer, Desk
    from ocibuild.sandbox.supervisor.notifications import Notification


_TIMES = struct.Struct("=qqqq")  # two of struct timespec: seconds and nanoseconds of access, and of modification


def _change_owner(desk: Desk, call: Notification, place: Place, uid: int, gid: int) -> None:
    try:
        path, follow = desk.go(call, place)
    except Elsewhere:
        pass
    else:
        credentials = desk.processes.credentials(call.pid)
        try:
            files.change_owner(path, uid & ID, gid & ID, credentials, follow=follow)
        except FileNotFoundError:
            if not place.address:
                raise Refused(errno.EBADF) from None
            own = desk.view.go_to_own(call.pid, path) if follow else None
            if own is None:
                raise
            files.change_owner(own.name, uid & ID, gid & ID, credentials, follow=own.follow)
    desk.listener.succeed(call)


def _chown(desk: Desk, call: Notification) -> None:
    arguments = Arguments(call, at=False)
    _change_owner(desk, call, arguments.place(), arguments[1], arguments[2])


def _lchown(desk: Desk, call: Notification) -> None:
    arguments = Arguments(call, at=False)
    _change_owner(desk, call, arguments.place(follow=False), arguments[1], arguments[2])


def _fchown(desk: Desk, call: Notification) -> None:
    _change_owner(desk, call, Place.of_descriptor(call.first), call.second, call.third)


def _fchownat(desk: Desk, call: Notification) -> None:
    arguments = Arguments(call, at=True)
    flags = arguments[3]
    if flags & ~(syscalls.AT_SYMLINK_NOFOLLOW | syscalls.AT_EMPTY_PATH):
        raise Refused(errno.EINVAL)
    _change_owner(desk, call, arguments.place(flags=flags), arguments[1], arguments[2])


def _utimensat(desk: Desk, call: Notification) -> None:
    """Keep the time of access of what has its owner there."""
    try:
        path, follow = desk.go(call, Arguments(call, at=True).place(flags=call.fourth))
        times = _TIMES.unpack(desk.processes.read(call.pid, call.third, _TIMES.size)) if call.third else None
        is_done = files.change_time(path, times, follow=follow)
    except (OSError, Elsewhere):
        is_done = False
    if is_done:
        desk.listener.succeed(call)
    else:
        desk.listener.proceed(call)


ANSWERS: dict[str, Answer] = {
    "chown": _chown,
    "lchown": _lchown,
    "fchown": _fchown,
    "fchownat": _fchownat,
    "utimensat": _utimensat,
}
"""The system calls that are answered here."""
