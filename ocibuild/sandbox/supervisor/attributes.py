"""The capabilities of programs, where the kernel lets nobody set them: see setxattr(2)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ocibuild.records import CAPABILITY
from ocibuild.sandbox.supervisor import files
from ocibuild.sandbox.supervisor.calls import Place, signed
from ocibuild.sandbox.supervisor.credentials import Refused
from ocibuild.sandbox.supervisor.views import AT_FDCWD

if TYPE_CHECKING:
    from ocibuild.sandbox.supervisor.desk import Answer, Desk
    from ocibuild.sandbox.supervisor.notifications import Notification

_LONGEST_ATTRIBUTE = 65536


def _is_capability(desk: Desk, call: Notification) -> bool:
    return desk.processes.text(call.pid, call.second) == CAPABILITY


def _set_attribute(desk: Desk, call: Notification, place: Place) -> None:
    """Record the capabilities of a program; another attribute is the kernel's business."""
    if not _is_capability(desk, call):
        desk.listener.proceed(call)
        return
    if not desk.processes.credentials(call.pid).privileged:
        raise Refused(errno.EPERM)
    value = desk.processes.read(call.pid, call.third, min(call.fourth, _LONGEST_ATTRIBUTE))
    path, follow = desk.go(call, place)
    files.set_capability(path, value, signed(call.fifth), follow=follow)
    desk.listener.succeed(call)


def _get_attribute(desk: Desk, call: Notification, place: Place) -> None:
    if not _is_capability(desk, call):
        desk.listener.proceed(call)
        return
    path, follow = desk.go(call, place)
    value = files.capability(path, follow=follow)
    if 0 < call.fourth < len(value):
        raise Refused(errno.ERANGE)
    if call.fourth:
        desk.processes.write(call.pid, call.third, value)
    desk.listener.succeed(call, len(value))


def _remove_attribute(desk: Desk, call: Notification, place: Place) -> None:
    if not _is_capability(desk, call):
        desk.listener.proceed(call)
        return
    path, follow = desk.go(call, place)
    files.remove_capability(path, follow=follow)
    desk.listener.succeed(call)


def _setxattr(desk: Desk, call: Notification) -> None:
    _set_attribute(desk, call, Place(AT_FDCWD, call.first))


def _lsetxattr(desk: Desk, call: Notification) -> None:
    _set_attribute(desk, call, Place(AT_FDCWD, call.first, follow=False))


def _fsetxattr(desk: Desk, call: Notification) -> None:
    _set_attribute(desk, call, Place(signed(call.first), 0, may_be_empty=True))


def _getxattr(desk: Desk, call: Notification) -> None:
    _get_attribute(desk, call, Place(AT_FDCWD, call.first))


def _lgetxattr(desk: Desk, call: Notification) -> None:
    _get_attribute(desk, call, Place(AT_FDCWD, call.first, follow=False))


def _fgetxattr(desk: Desk, call: Notification) -> None:
    _get_attribute(desk, call, Place(signed(call.first), 0, may_be_empty=True))


def _removexattr(desk: Desk, call: Notification) -> None:
    _remove_attribute(desk, call, Place(AT_FDCWD, call.first))


def _lremovexattr(desk: Desk, call: Notification) -> None:
    _remove_attribute(desk, call, Place(AT_FDCWD, call.first, follow=False))


def _fremovexattr(desk: Desk, call: Notification) -> None:
    _remove_attribute(desk, call, Place(signed(call.first), 0, may_be_empty=True))


ANSWERS: dict[str, Answer] = {
    "setxattr": _setxattr,
    "lsetxattr": _lsetxattr,
    "fsetxattr": _fsetxattr,
    "getxattr": _getxattr,
    "lgetxattr": _lgetxattr,
    "fgetxattr": _fgetxattr,
    "removexattr": _removexattr,
    "lremovexattr": _lremovexattr,
    "fremovexattr": _fremovexattr,
}
"""The system calls that are answered here."""
