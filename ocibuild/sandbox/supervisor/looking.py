"""stat(2) and its siblings: what they say of a file with a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.sandbox.supervisor import files
from ocibuild.sandbox.supervisor.calls import Arguments, Place
from ocibuild.sandbox.supervisor.views import Elsewhere

if TYPE_CHECKING:
    from ocibuild.sandbox.supervisor.desk import Answer, Desk
    from ocibuild.sandbox.supervisor.notifications import Notification


def _look(desk: Desk, call: Notification, place: Place, answer: int) -> None:
    """Let the kernel answer, unless a file has a record."""
    try:
        status = _status(desk, call, place)
    except OSError:
        status = None
    if status is None:
        desk.listener.proceed(call)
        return
    desk.processes.write(call.pid, answer, status)
    desk.listener.succeed(call)


def _status(desk: Desk, call: Notification, place: Place) -> bytes | None:
    try:
        path, follow = desk.go(call, place)
    except Elsewhere as there:
        path, follow = there.path
    return files.status_with_record(path, follow=follow)


def _stat(desk: Desk, call: Notification) -> None:
    _look(desk, call, Arguments(call, at=False).place(), call.second)


def _lstat(desk: Desk, call: Notification) -> None:
    _look(desk, call, Arguments(call, at=False).place(follow=False), call.second)


def _fstat(desk: Desk, call: Notification) -> None:
    _look(desk, call, Place.of_descriptor(call.first), call.second)


def _newfstatat(desk: Desk, call: Notification) -> None:
    arguments = Arguments(call, at=True)
    _look(desk, call, arguments.place(flags=arguments[2]), arguments[1])


ANSWERS: dict[str, Answer] = {
    "stat": _stat,
    "lstat": _lstat,
    "fstat": _fstat,
    "newfstatat": _newfstatat,
}
"""The system calls that are answered here."""
