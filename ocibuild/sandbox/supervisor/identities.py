"""Who a process is: what it asks, what it sets, and what executing a program makes of it."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

from ocibuild.sandbox.supervisor import files
from ocibuild.sandbox.supervisor.calls import ID, Arguments, Place, signed
from ocibuild.sandbox.supervisor.credentials import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.sandbox.supervisor.credentials import IDs
    from ocibuild.sandbox.supervisor.desk import Answer, Desk
    from ocibuild.sandbox.supervisor.notifications import Notification

_MOST_GROUPS = 65536


def _execute(desk: Desk, call: Notification, place: Place) -> None:
    path, follow = desk.go(call, place)
    credentials = desk.processes.credentials(call.pid)
    then = files.credentials_of_program(path, credentials, follow=follow)
    if then != credentials:
        desk.processes.become(call.pid, then)
    desk.listener.proceed(call)


def _execve(desk: Desk, call: Notification) -> None:
    _execute(desk, call, Arguments(call, at=False).place())


def _execveat(desk: Desk, call: Notification) -> None:
    arguments = Arguments(call, at=True)
    _execute(desk, call, arguments.place(flags=arguments[3]))


def _chroot(desk: Desk, call: Notification) -> None:
    desk.view.expect_other_roots()
    desk.listener.proceed(call)


def _prctl(desk: Desk, call: Notification) -> None:
    """Hear of PR_SET_KEEPCAPS."""
    now = desk.processes.credentials(call.pid)
    desk.processes.become(call.pid, now._replace(keeps=call.second & ID == 1))
    desk.listener.proceed(call)


def _getuid(desk: Desk, call: Notification) -> None:
    desk.listener.succeed(call, desk.processes.credentials(call.pid).user.real)


def _geteuid(desk: Desk, call: Notification) -> None:
    desk.listener.succeed(call, desk.processes.credentials(call.pid).user.effective)


def _getgid(desk: Desk, call: Notification) -> None:
    desk.listener.succeed(call, desk.processes.credentials(call.pid).group.real)


def _getegid(desk: Desk, call: Notification) -> None:
    desk.listener.succeed(call, desk.processes.credentials(call.pid).group.effective)


def _tell_three(desk: Desk, call: Notification, ids: IDs) -> None:
    for address, number in zip((call.first, call.second, call.third), ids[:3], strict=True):
        desk.processes.write(call.pid, address, struct.pack("=I", number))
    desk.listener.succeed(call)


def _getresuid(desk: Desk, call: Notification) -> None:
    _tell_three(desk, call, desk.processes.credentials(call.pid).user)


def _getresgid(desk: Desk, call: Notification) -> None:
    _tell_three(desk, call, desk.processes.credentials(call.pid).group)


def _getgroups(desk: Desk, call: Notification) -> None:
    groups = desk.processes.credentials(call.pid).groups
    room = signed(call.first)
    if room < 0 or 0 < room < len(groups):
        raise Refused(errno.EINVAL)
    if room and groups:
        desk.processes.write(call.pid, call.second, struct.pack(f"={len(groups)}I", *groups))
    desk.listener.succeed(call, len(groups))


def _set_user(desk: Desk, call: Notification, change: Callable[[IDs, bool], IDs], result: int = 0) -> None:
    now = desk.processes.credentials(call.pid)
    desk.processes.become(call.pid, now._replace(user=change(now.user, now.may_set_ids)))
    desk.listener.succeed(call, result)


def _set_group(desk: Desk, call: Notification, change: Callable[[IDs, bool], IDs], result: int = 0) -> None:
    now = desk.processes.credentials(call.pid)
    desk.processes.become(call.pid, now._replace(group=change(now.group, now.may_set_ids)))
    desk.listener.succeed(call, result)


def _setuid(desk: Desk, call: Notification) -> None:
    _set_user(desk, call, lambda ids, may: ids.set(call.first & ID, privileged=may))


def _setgid(desk: Desk, call: Notification) -> None:
    _set_group(desk, call, lambda ids, may: ids.set(call.first & ID, privileged=may))


def _setreuid(desk: Desk, call: Notification) -> None:
    real, effective = call.first & ID, call.second & ID
    _set_user(desk, call, lambda ids, may: ids.set_real_effective(real, effective, privileged=may))


def _setregid(desk: Desk, call: Notification) -> None:
    real, effective = call.first & ID, call.second & ID
    _set_group(desk, call, lambda ids, may: ids.set_real_effective(real, effective, privileged=may))


def _setresuid(desk: Desk, call: Notification) -> None:
    three = (call.first & ID, call.second & ID, call.third & ID)
    _set_user(desk, call, lambda ids, may: ids.set_all(*three, privileged=may))


def _setresgid(desk: Desk, call: Notification) -> None:
    three = (call.first & ID, call.second & ID, call.third & ID)
    _set_group(desk, call, lambda ids, may: ids.set_all(*three, privileged=may))


def _setfsuid(desk: Desk, call: Notification) -> None:
    before = desk.processes.credentials(call.pid).user.fs
    _set_user(desk, call, lambda ids, may: ids.set_fs(call.first & ID, privileged=may), before)


def _setfsgid(desk: Desk, call: Notification) -> None:
    before = desk.processes.credentials(call.pid).group.fs
    _set_group(desk, call, lambda ids, may: ids.set_fs(call.first & ID, privileged=may), before)


def _setgroups(desk: Desk, call: Notification) -> None:
    now = desk.processes.credentials(call.pid)
    count = call.first & ID
    if not now.may_set_ids:
        raise Refused(errno.EPERM)
    if count > _MOST_GROUPS:
        raise Refused(errno.EINVAL)
    groups: tuple[int, ...] = ()
    if count:
        groups = struct.unpack(f"={count}I", desk.processes.read(call.pid, call.second, 4 * count))
    desk.processes.become(call.pid, now._replace(groups=tuple(sorted(groups))))
    desk.listener.succeed(call)


ANSWERS: dict[str, Answer] = {
    "execve": _execve,
    "execveat": _execveat,
    "chroot": _chroot,
    "prctl": _prctl,
    "getuid": _getuid,
    "geteuid": _geteuid,
    "getgid": _getgid,
    "getegid": _getegid,
    "getresuid": _getresuid,
    "getresgid": _getresgid,
    "getgroups": _getgroups,
    "setuid": _setuid,
    "setgid": _setgid,
    "setreuid": _setreuid,
    "setregid": _setregid,
    "setresuid": _setresuid,
    "setresgid": _setresgid,
    "setfsuid": _setfsuid,
    "setfsgid": _setfsgid,
    "setgroups": _setgroups,
}
"""The system calls that are answered here."""
