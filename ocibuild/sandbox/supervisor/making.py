"""What makes files: theirs who are not root are made here, with a record; the kernel makes the others."""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import TYPE_CHECKING

from ocibuild.owner_records import ROOTS
from ocibuild.sandbox.supervisor import files
from ocibuild.sandbox.supervisor.calls import ID, O_TMPFILE, Arguments, Place, signed
from ocibuild.sandbox.supervisor.credentials import Refused
from ocibuild.sandbox.supervisor.views import Elsewhere

if TYPE_CHECKING:
    from ocibuild.owner_records import Record
    from ocibuild.sandbox.supervisor.desk import Answer, Desk
    from ocibuild.sandbox.supervisor.notifications import Notification


def _owned(desk: Desk, call: Notification, place: Place) -> tuple[str, Record] | None:
    """Return the path of a new file and its owner; None where the kernel makes it, or says why not, as for root."""
    try:
        path, _ = desk.go(call, place)
        owner = files.owner_of_new(path, desk.processes.credentials(call.pid))
    except (OSError, Elsewhere):
        return None
    return None if owner == ROOTS else (path, owner)


def _mode(desk: Desk, call: Notification, mode: int) -> int:
    return mode & 0o7777 & ~desk.processes.umask(call.pid)


def _make_directory(desk: Desk, call: Notification, *, at: bool) -> None:
    arguments = Arguments(call, at=at)
    found = _owned(desk, call, arguments.place())
    if found is None:
        desk.listener.proceed(call)
        return
    files.make_directory(found[0], _mode(desk, call, arguments[1]), found[1])
    desk.listener.succeed(call)


def _mkdir(desk: Desk, call: Notification) -> None:
    _make_directory(desk, call, at=False)


def _mkdirat(desk: Desk, call: Notification) -> None:
    _make_directory(desk, call, at=True)


def _make_symlink(desk: Desk, call: Notification, place: Place, target: int) -> None:
    found = _owned(desk, call, place)
    if found is None:
        desk.listener.proceed(call)
        return
    files.make_symlink(desk.processes.text(call.pid, target), *found)
    desk.listener.succeed(call)


def _symlink(desk: Desk, call: Notification) -> None:
    _make_symlink(desk, call, Arguments(call, at=False).place(1), call.first)


def _symlinkat(desk: Desk, call: Notification) -> None:
    _make_symlink(desk, call, Place(signed(call.second), call.third), call.first)


def _make_node(desk: Desk, call: Notification, *, at: bool) -> None:
    arguments = Arguments(call, at=at)
    mode, device = arguments[1] & ID, arguments[2] & ID
    is_device = stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and device != 0)
    found = _owned(desk, call, arguments.place())
    if is_device and not desk.processes.credentials(call.pid).privileged:
        raise Refused(errno.EPERM)
    if found is None and not is_device:
        desk.listener.proceed(call)
        return
    path, owner = found or (desk.go(call, arguments.place()).name, ROOTS)
    kind = stat.S_IFMT(mode) or stat.S_IFREG
    files.make_node(path, kind | _mode(desk, call, mode), device, owner)
    desk.listener.succeed(call)


def _mknod(desk: Desk, call: Notification) -> None:
    _make_node(desk, call, at=False)


def _mknodat(desk: Desk, call: Notification) -> None:
    _make_node(desk, call, at=True)


def _open_new(desk: Desk, call: Notification, place: Place, flags: int, mode: int) -> None:
    if flags & os.O_PATH or not flags & (os.O_CREAT | O_TMPFILE):
        desk.listener.proceed(call)
        return
    unnamed = flags & O_TMPFILE
    try:
        path, _ = desk.go(call, place)
        within = os.path.join(path, "x") if unnamed else path
        owner = files.owner_of_new(within, desk.processes.credentials(call.pid))
    except (OSError, Elsewhere):
        owner = ROOTS
    if owner == ROOTS:
        desk.listener.proceed(call)
        return
    is_new = 0 if unnamed else os.O_EXCL
    try:
        fd = files.make_file(path, flags & ~os.O_CLOEXEC | is_new, _mode(desk, call, mode), owner)
    except FileExistsError:
        if flags & os.O_EXCL:
            raise
        desk.listener.proceed(call)
        return
    try:
        desk.listener.give(call, fd, close_on_exec=bool(flags & os.O_CLOEXEC))
    finally:
        os.close(fd)


def _open(desk: Desk, call: Notification) -> None:
    arguments = Arguments(call, at=False)
    _open_new(desk, call, arguments.place(), signed(arguments[1]), arguments[2])


def _openat(desk: Desk, call: Notification) -> None:
    arguments = Arguments(call, at=True)
    _open_new(desk, call, arguments.place(), signed(arguments[1]), arguments[2])


def _creat(desk: Desk, call: Notification) -> None:
    arguments = Arguments(call, at=False)
    _open_new(desk, call, arguments.place(), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, arguments[1])


def _openat2(desk: Desk, call: Notification) -> None:
    """Let whoever is root, and makes nothing, go on; others fall back to openat(2), as on an older kernel."""
    (flags,) = struct.unpack("=Q", desk.processes.read(call.pid, call.third, 8))
    if flags & (os.O_CREAT | O_TMPFILE):
        raise Refused(errno.ENOSYS)
    desk.listener.proceed(call)


ANSWERS: dict[str, Answer] = {
    "mkdir": _mkdir,
    "mkdirat": _mkdirat,
    "symlink": _symlink,
    "symlinkat": _symlinkat,
    "mknod": _mknod,
    "mknodat": _mknodat,
    "open": _open,
    "openat": _openat,
    "creat": _creat,
    "openat2": _openat2,
}
"""The system calls that are answered here."""
