"""The capabilities of programs, where the kernel lets nobody set them: see setxattr(2)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ocibuild.owner_records import CAPABILITY
from ocibuild.sandbox.supervisor import files
from ocibuild.sandbox.supervisor.calls import Arguments, Place, signed
from ocibuild.sandbox.supervisor.credentials import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.sandbox.supervisor.desk import Answer, Desk
    from ocibuild.sandbox.supervisor.notifications import Notification

_LONGEST_ATTRIBUTE = 65536


def _set(desk: Desk, call: Notification, place: Place) -> None:
    if not desk.processes.credentials(call.pid).privileged:
        raise Refused(errno.EPERM)
    value = desk.processes.read(call.pid, call.third, min(call.fourth, _LONGEST_ATTRIBUTE))
    path, follow = desk.go(call, place)
    files.set_capability(path, value, signed(call.fifth), follow=follow)
    desk.listener.succeed(call)


def _get(desk: Desk, call: Notification, place: Place) -> None:
    path, follow = desk.go(call, place)
    value = files.capability(path, follow=follow)
    if 0 < call.fourth < len(value):
        raise Refused(errno.ERANGE)
    if call.fourth:
        desk.processes.write(call.pid, call.third, value)
    desk.listener.succeed(call, len(value))


def _remove(desk: Desk, call: Notification, place: Place) -> None:
    path, follow = desk.go(call, place)
    files.remove_capability(path, follow=follow)
    desk.listener.succeed(call)


def _answer(act: Callable[[Desk, Notification, Place], None], place_of: Callable[[Notification], Place]) -> Answer:
    """Return the answer that does this with the capabilities of the program that a call has in this place."""

    def answer(desk: Desk, call: Notification) -> None:
        if desk.processes.text(call.pid, call.second) == CAPABILITY:
            act(desk, call, place_of(call))
        else:  # another attribute is the kernel's business
            desk.listener.proceed(call)

    return answer


_ACTS = {"setxattr": _set, "getxattr": _get, "removexattr": _remove}
_PLACES: dict[str, Callable[[Notification], Place]] = {
    "": lambda call: Arguments(call, at=False).place(),
    "l": lambda call: Arguments(call, at=False).place(follow=False),
    "f": lambda call: Place.of_descriptor(call.first),
}

ANSWERS: dict[str, Answer] = {
    prefix + name: _answer(act, place_of) for name, act in _ACTS.items() for prefix, place_of in _PLACES.items()
}
"""The system calls that are answered here."""
