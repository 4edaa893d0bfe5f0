"""Answers the system calls of one step's processes, one after the other."""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import TYPE_CHECKING

from ocibuild.sandbox.records import CAPABILITY, ROOTS
from ocibuild.sandbox.seccomp.numbers import ABIS
from ocibuild.sandbox.supervisor import files
from ocibuild.sandbox.supervisor.calls import (
    AT_EMPTY_PATH,
    AT_SYMLINK_NOFOLLOW,
    LOOKING,
    Arguments,
    Place,
    names_of,
    signed,
)
from ocibuild.sandbox.supervisor.credentials import Book, Credentials, Refused
from ocibuild.sandbox.supervisor.processes import Processes
from ocibuild.sandbox.supervisor.views import AT_FDCWD, Elsewhere, Path

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.sandbox.records import Record
    from ocibuild.sandbox.supervisor.credentials import IDs
    from ocibuild.sandbox.supervisor.notifications import Listener, Notification
    from ocibuild.sandbox.supervisor.views import View

_ID = 0xFFFFFFFF
_MOST_GROUPS = 65536
_LONGEST_ATTRIBUTE = 65536
_O_TMPFILE = os.O_TMPFILE & ~os.O_DIRECTORY


class Supervisor:
    """Attends to a listener, in a process of its own.

    ``proc`` is a directory of /proc for this process's PID namespace, ``view`` how it comes to the step's files, and
    ``first`` who the step's first process is.
    """

    def __init__(self, listener: Listener, proc: int, view: View, first: Credentials) -> None:
        self._listener = listener
        self._processes = Processes(proc, Book(first))
        self._view = view
        self._calls = self._by_number()
        os.umask(0)  # that of the process counts

    def fileno(self) -> int:
        """Return the descriptor that is readable where a call waits."""
        return self._listener.fileno()

    def attend(self) -> bool:
        """Answer one call."""
        call = self._listener.receive()
        if call is None:
            return True
        try:
            self._calls[call.architecture, call.number](call)
        except Refused as refused:
            self._listener.fail(call, refused.number)
        except Elsewhere:
            self._listener.proceed(call)
        except OSError as error:
            self._listener.fail(call, error.errno or errno.EIO)
        return True

    def _by_number(self) -> dict[tuple[int, int], Callable[[Notification], None]]:
        machine = os.uname().machine
        native = ABIS[machine][0]
        names = dict(names_of(machine))
        for key, name in list(names.items()):
            if name in LOOKING and key != (native.audit_arch, native.number(name)):
                names[key] = "other_status"
        return {key: getattr(self, f"_{name}") for key, name in names.items()}

    # --- files

    def _go(self, call: Notification, place: Place) -> Path:
        path = self._processes.text(call.pid, place.address) if place.address else ""
        if not path and not place.may_be_empty:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        found = self._view.go(call.pid, path, place)
        if not self._listener.is_waiting(call):
            raise OSError(errno.EINTR, os.strerror(errno.EINTR))
        return found

    def _change_owner(self, call: Notification, place: Place, uid: int, gid: int) -> None:
        try:
            path, follow = self._go(call, place)
        except Elsewhere:
            pass
        else:
            credentials = self._processes.credentials(call.pid)
            try:
                files.change_owner(path, uid & _ID, gid & _ID, credentials, follow=follow)
            except FileNotFoundError:
                own = self._view.go_to_own(call.pid, path) if follow else None
                if own is None:
                    raise
                files.change_owner(own.name, uid & _ID, gid & _ID, credentials, follow=own.follow)
        self._listener.succeed(call)

    def _chown(self, call: Notification) -> None:
        arguments = Arguments(call, at=False)
        self._change_owner(call, arguments.place(), arguments[1], arguments[2])

    def _lchown(self, call: Notification) -> None:
        arguments = Arguments(call, at=False)
        self._change_owner(call, arguments.place(follow=False), arguments[1], arguments[2])

    def _fchown(self, call: Notification) -> None:
        place = Place(signed(call.first), 0, may_be_empty=True)
        self._change_owner(call, place, call.second, call.third)

    def _fchownat(self, call: Notification) -> None:
        arguments = Arguments(call, at=True)
        flags = arguments[3]
        if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
            raise Refused(errno.EINVAL)
        self._change_owner(call, arguments.place(flags=flags), arguments[1], arguments[2])

    def _owned(self, call: Notification, place: Place) -> tuple[str, Record] | None:
        """Return the path of a new file and its owner; None where the kernel makes it, or says why not, as for root."""
        try:
            path, _ = self._go(call, place)
            owner = files.owner_of_new(path, self._processes.credentials(call.pid))
        except (OSError, Elsewhere):
            return None
        return None if owner == ROOTS else (path, owner)

    def _mode(self, call: Notification, mode: int) -> int:
        return mode & 0o7777 & ~self._processes.umask(call.pid)

    def _make_directory(self, call: Notification, *, at: bool) -> None:
        arguments = Arguments(call, at=at)
        found = self._owned(call, arguments.place())
        if found is None:
            self._listener.proceed(call)
            return
        files.make_directory(found[0], self._mode(call, arguments[1]), found[1])
        self._listener.succeed(call)

    def _mkdir(self, call: Notification) -> None:
        self._make_directory(call, at=False)

    def _mkdirat(self, call: Notification) -> None:
        self._make_directory(call, at=True)

    def _make_symlink(self, call: Notification, place: Place, target: int) -> None:
        found = self._owned(call, place)
        if found is None:
            self._listener.proceed(call)
            return
        files.make_symlink(self._processes.text(call.pid, target), *found)
        self._listener.succeed(call)

    def _symlink(self, call: Notification) -> None:
        self._make_symlink(call, Arguments(call, at=False).place(1), call.first)

    def _symlinkat(self, call: Notification) -> None:
        self._make_symlink(call, Place(signed(call.second), call.third), call.first)

    def _make_node(self, call: Notification, *, at: bool) -> None:
        arguments = Arguments(call, at=at)
        mode, device = arguments[1] & _ID, arguments[2] & _ID
        is_device = stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and device != 0)
        found = self._owned(call, arguments.place())
        if is_device and not self._processes.credentials(call.pid).privileged:
            raise Refused(errno.EPERM)
        if found is None and not is_device:
            self._listener.proceed(call)
            return
        path, owner = found or (self._go(call, arguments.place()).name, ROOTS)
        kind = stat.S_IFMT(mode) or stat.S_IFREG
        files.make_node(path, kind | self._mode(call, mode), device, owner)
        self._listener.succeed(call)

    def _mknod(self, call: Notification) -> None:
        self._make_node(call, at=False)

    def _mknodat(self, call: Notification) -> None:
        self._make_node(call, at=True)

    def _open_new(self, call: Notification, place: Place, flags: int, mode: int) -> None:
        if flags & os.O_PATH or not flags & (os.O_CREAT | _O_TMPFILE):
            self._listener.proceed(call)
            return
        unnamed = flags & _O_TMPFILE
        try:
            path, _ = self._go(call, place)
            within = os.path.join(path, "x") if unnamed else path
            owner = files.owner_of_new(within, self._processes.credentials(call.pid))
        except (OSError, Elsewhere):
            owner = ROOTS
        if owner == ROOTS:
            self._listener.proceed(call)
            return
        make = files.make_unnamed_file if unnamed else files.make_file
        try:
            fd = make(path, flags & ~os.O_CLOEXEC, self._mode(call, mode), owner)
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
            self._listener.proceed(call)
            return
        try:
            self._listener.give(call, fd, close_on_exec=bool(flags & os.O_CLOEXEC))
        finally:
            os.close(fd)

    def _open(self, call: Notification) -> None:
        arguments = Arguments(call, at=False)
        self._open_new(call, arguments.place(), arguments[1] & _ID, arguments[2])

    def _openat(self, call: Notification) -> None:
        arguments = Arguments(call, at=True)
        self._open_new(call, arguments.place(), arguments[1] & _ID, arguments[2])

    def _creat(self, call: Notification) -> None:
        arguments = Arguments(call, at=False)
        self._open_new(call, arguments.place(), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, arguments[1])

    def _openat2(self, call: Notification) -> None:
        """Let whoever is root, and makes nothing, go on; others fall back to openat(2), as on an older kernel."""
        (flags,) = struct.unpack("=Q", self._processes.read(call.pid, call.third, 8))
        if flags & (os.O_CREAT | _O_TMPFILE):
            raise Refused(errno.ENOSYS)
        self._listener.proceed(call)

    def _look(self, call: Notification, place: Place, answer: int) -> None:
        """Let the kernel answer, unless a file has a record."""
        try:
            status = self._status(call, place)
        except OSError:
            status = None
        if status is None:
            self._listener.proceed(call)
            return
        self._processes.write(call.pid, answer, status)
        self._listener.succeed(call)

    def _status(self, call: Notification, place: Place) -> bytes | None:
        try:
            path, follow = self._go(call, place)
        except Elsewhere as there:
            path, follow = there.path
        return files.status_with_record(path, follow=follow)

    def _stat(self, call: Notification) -> None:
        self._look(call, Arguments(call, at=False).place(), call.second)

    def _lstat(self, call: Notification) -> None:
        self._look(call, Arguments(call, at=False).place(follow=False), call.second)

    def _fstat(self, call: Notification) -> None:
        self._look(call, Place(signed(call.first), 0, may_be_empty=True), call.second)

    def _newfstatat(self, call: Notification) -> None:
        arguments = Arguments(call, at=True)
        self._look(call, arguments.place(flags=arguments[2]), arguments[1])

    def _is_capability(self, call: Notification) -> bool:
        return self._processes.text(call.pid, call.second) == CAPABILITY

    def _set_attribute(self, call: Notification, place: Place) -> None:
        """Record the capabilities of a program; another attribute is the kernel's business."""
        if not self._is_capability(call):
            self._listener.proceed(call)
            return
        if not self._processes.credentials(call.pid).privileged:
            raise Refused(errno.EPERM)
        value = self._processes.read(call.pid, call.third, min(call.fourth, _LONGEST_ATTRIBUTE))
        path, follow = self._go(call, place)
        files.set_capability(path, value, call.fifth & _ID, follow=follow)
        self._listener.succeed(call)

    def _get_attribute(self, call: Notification, place: Place) -> None:
        if not self._is_capability(call):
            self._listener.proceed(call)
            return
        path, follow = self._go(call, place)
        value = files.capability(path, follow=follow)
        if 0 < call.fourth < len(value):
            raise Refused(errno.ERANGE)
        if call.fourth:
            self._processes.write(call.pid, call.third, value)
        self._listener.succeed(call, len(value))

    def _remove_attribute(self, call: Notification, place: Place) -> None:
        if not self._is_capability(call):
            self._listener.proceed(call)
            return
        path, follow = self._go(call, place)
        files.remove_capability(path, follow=follow)
        self._listener.succeed(call)

    def _setxattr(self, call: Notification) -> None:
        self._set_attribute(call, Place(AT_FDCWD, call.first))

    def _lsetxattr(self, call: Notification) -> None:
        self._set_attribute(call, Place(AT_FDCWD, call.first, follow=False))

    def _fsetxattr(self, call: Notification) -> None:
        self._set_attribute(call, Place(signed(call.first), 0, may_be_empty=True))

    def _getxattr(self, call: Notification) -> None:
        self._get_attribute(call, Place(AT_FDCWD, call.first))

    def _lgetxattr(self, call: Notification) -> None:
        self._get_attribute(call, Place(AT_FDCWD, call.first, follow=False))

    def _fgetxattr(self, call: Notification) -> None:
        self._get_attribute(call, Place(signed(call.first), 0, may_be_empty=True))

    def _removexattr(self, call: Notification) -> None:
        self._remove_attribute(call, Place(AT_FDCWD, call.first))

    def _lremovexattr(self, call: Notification) -> None:
        self._remove_attribute(call, Place(AT_FDCWD, call.first, follow=False))

    def _fremovexattr(self, call: Notification) -> None:
        self._remove_attribute(call, Place(signed(call.first), 0, may_be_empty=True))

    def _other_status(self, call: Notification) -> None:
        """Let programs for another architecture see the owners that the files have for the kernel."""
        self._listener.proceed(call)

    def _chroot(self, call: Notification) -> None:
        self._view.expect_other_roots()
        self._listener.proceed(call)

    # --- programs

    def _execute(self, call: Notification, place: Place) -> None:
        try:
            path, follow = self._go(call, place)
        except Elsewhere:
            self._listener.proceed(call)
            return
        credentials = self._processes.credentials(call.pid)
        then = files.credentials_of_program(path, credentials, follow=follow)
        if then != credentials:
            self._processes.become(call.pid, then)
        self._listener.proceed(call)

    def _execve(self, call: Notification) -> None:
        self._execute(call, Arguments(call, at=False).place())

    def _execveat(self, call: Notification) -> None:
        arguments = Arguments(call, at=True)
        self._execute(call, arguments.place(flags=arguments[3]))

    # --- who one is

    def _tell(self, call: Notification, number: int) -> None:
        self._listener.succeed(call, number)

    def _getuid(self, call: Notification) -> None:
        self._tell(call, self._processes.credentials(call.pid).user.real)

    def _geteuid(self, call: Notification) -> None:
        self._tell(call, self._processes.credentials(call.pid).user.effective)

    def _getgid(self, call: Notification) -> None:
        self._tell(call, self._processes.credentials(call.pid).group.real)

    def _getegid(self, call: Notification) -> None:
        self._tell(call, self._processes.credentials(call.pid).group.effective)

    def _tell_three(self, call: Notification, ids: IDs) -> None:
        for address, number in zip((call.first, call.second, call.third), ids[:3], strict=True):
            self._processes.write(call.pid, address, struct.pack("=I", number))
        self._listener.succeed(call)

    def _getresuid(self, call: Notification) -> None:
        self._tell_three(call, self._processes.credentials(call.pid).user)

    def _getresgid(self, call: Notification) -> None:
        self._tell_three(call, self._processes.credentials(call.pid).group)

    def _getgroups(self, call: Notification) -> None:
        groups = self._processes.credentials(call.pid).groups
        room = signed(call.first)
        if room < 0 or 0 < room < len(groups):
            raise Refused(errno.EINVAL)
        if room and groups:
            self._processes.write(call.pid, call.second, struct.pack(f"={len(groups)}I", *groups))
        self._listener.succeed(call, len(groups))

    def _prctl(self, call: Notification) -> None:
        """Hear of PR_SET_KEEPCAPS."""
        now = self._processes.credentials(call.pid)
        self._processes.become(call.pid, now._replace(keeps=call.second & _ID == 1))
        self._listener.proceed(call)

    def _set_user(self, call: Notification, change: Callable[[IDs, bool], IDs], result: int = 0) -> None:
        now = self._processes.credentials(call.pid)
        self._processes.become(call.pid, now._replace(user=change(now.user, now.may_set_ids)))
        self._listener.succeed(call, result)

    def _set_group(self, call: Notification, change: Callable[[IDs, bool], IDs], result: int = 0) -> None:
        now = self._processes.credentials(call.pid)
        self._processes.become(call.pid, now._replace(group=change(now.group, now.may_set_ids)))
        self._listener.succeed(call, result)

    def _setuid(self, call: Notification) -> None:
        self._set_user(call, lambda ids, may: ids.set(call.first & _ID, privileged=may))

    def _setgid(self, call: Notification) -> None:
        self._set_group(call, lambda ids, may: ids.set(call.first & _ID, privileged=may))

    def _setreuid(self, call: Notification) -> None:
        real, effective = call.first & _ID, call.second & _ID
        self._set_user(call, lambda ids, may: ids.set_real_effective(real, effective, privileged=may))

    def _setregid(self, call: Notification) -> None:
        real, effective = call.first & _ID, call.second & _ID
        self._set_group(call, lambda ids, may: ids.set_real_effective(real, effective, privileged=may))

    def _setresuid(self, call: Notification) -> None:
        three = (call.first & _ID, call.second & _ID, call.third & _ID)
        self._set_user(call, lambda ids, may: ids.set_all(*three, privileged=may))

    def _setresgid(self, call: Notification) -> None:
        three = (call.first & _ID, call.second & _ID, call.third & _ID)
        self._set_group(call, lambda ids, may: ids.set_all(*three, privileged=may))

    def _setfsuid(self, call: Notification) -> None:
        before = self._processes.credentials(call.pid).user.fs
        self._set_user(call, lambda ids, may: ids.set_fs(call.first & _ID, privileged=may), before)

    def _setfsgid(self, call: Notification) -> None:
        before = self._processes.credentials(call.pid).group.fs
        self._set_group(call, lambda ids, may: ids.set_fs(call.first & _ID, privileged=may), before)

    def _setgroups(self, call: Notification) -> None:
        now = self._processes.credentials(call.pid)
        count = call.first & _ID
        if not now.may_set_ids:
            raise Refused(errno.EPERM)
        if count > _MOST_GROUPS:
            raise Refused(errno.EINVAL)
        groups: tuple[int, ...] = ()
        if count:
            groups = struct.unpack(f"={count}I", self._processes.read(call.pid, call.second, 4 * count))
        self._processes.become(call.pid, now._replace(groups=tuple(sorted(groups))))
        self._listener.succeed(call)
