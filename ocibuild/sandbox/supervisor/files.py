"""What becomes of files where their owners are records: chown, and new files of who is not root."""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import TYPE_CHECKING

from ocibuild import owner_records
from ocibuild.owner_records import ROOTS, Record
from ocibuild.sandbox.supervisor import status
from ocibuild.sandbox.supervisor.credentials import UNCHANGED, Refused

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ocibuild.sandbox.supervisor.credentials import Credentials

_SECOND = 1_000_000_000
_NOW, _OMIT = (1 << 30) - 1, (1 << 30) - 2  # UTIME_NOW and UTIME_OMIT, in place of nanoseconds
# of a file that is the machine's or the kernel's, such as one of /proc or a pipe: its owner is nobody's concern here
_CARRIES_NONE = (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EINVAL, errno.EROFS)


def change_owner(path: str, uid: int, gid: int, credentials: Credentials, *, follow: bool) -> None:
    """Do what chown(2) does to a file, to its record; raise OSError, or Refused."""
    found = os.stat(path, follow_symlinks=follow)
    record = _record(path, found, follow=follow)
    wanted = record._replace(uid=record.uid if uid == UNCHANGED else uid, gid=record.gid if gid == UNCHANGED else gid)
    if not credentials.privileged:
        owns = record.uid == credentials.user.fs
        if wanted.uid != record.uid or not owns or not (wanted.gid == record.gid or credentials.is_in(wanted.gid)):
            raise Refused(errno.EPERM)
    if stat.S_ISREG(found.st_mode):
        found = _without_privileges(path, found, follow=follow)
    if wanted != record:
        try:
            owner_records.write(path, found, wanted, follow=follow)
        except OSError as error:
            if owner_records.carries(found.st_mode) or error.errno not in _CARRIES_NONE:
                raise


def _without_privileges(path: str, found: os.stat_result, *, follow: bool) -> os.stat_result:
    """Take from a program what a new owner did not give it, as chown(2) does."""
    mode = stat.S_IMODE(found.st_mode)
    kept = mode & ~stat.S_ISUID
    if mode & stat.S_IXGRP:
        kept &= ~stat.S_ISGID
    if kept != mode:
        os.chmod(path, kept)
        found = os.stat(path, follow_symlinks=follow)
    for key in (owner_records.CAPABILITY, owner_records.RECORDED_CAPABILITY):
        try:
            os.removexattr(path, key, follow_symlinks=follow)
        except OSError as error:
            if error.errno not in (errno.ENODATA, *_CARRIES_NONE):
                raise
    return found


def status_with_record(path: str, *, follow: bool) -> bytes | None:
    """Return what stat(2) is to give for a file, None where the kernel says the same; raise OSError.

    That is so for a file without a record, unless it is ours and we are not root: it is root's then.
    """
    found = os.stat(path, follow_symlinks=follow)
    record = _record(path, found, follow=follow)
    if record == ROOTS and (found.st_uid == 0 or found.st_uid != os.geteuid()):
        return None
    return status.packed(found, record)


def change_time(path: str, times: tuple[int, ...] | None, *, follow: bool) -> bool:
    """Do what utimensat(2) does to what has its owner in its time of access, which stays; False where it has none.

    ``times`` are seconds and nanoseconds of access, and of modification, None for now.
    """
    found = os.stat(path, follow_symlinks=follow)
    if owner_records.carries(found.st_mode) or owner_records.marked(found.st_atime_ns) == ROOTS:
        return False
    if times is None or times[3] == _NOW:
        modified = time.time_ns()
    elif times[3] == _OMIT:
        modified = found.st_mtime_ns
    elif times[3] in range(_SECOND):
        modified = times[2] * _SECOND + times[3]
    else:
        raise Refused(errno.EINVAL)
    os.utime(path, ns=(found.st_atime_ns, modified), follow_symlinks=follow)
    return True


def set_capability(path: str, value: bytes, flags: int, *, follow: bool) -> None:
    """Record the capabilities of a program; raise OSError."""
    with _opened_to_us(path, follow=follow):
        os.setxattr(path, owner_records.RECORDED_CAPABILITY, value, flags, follow_symlinks=follow)


def capability(path: str, *, follow: bool) -> bytes:
    """Return the recorded capabilities of a program; raise OSError, ENODATA where it has none."""
    with _opened_to_us(path, follow=follow):
        return os.getxattr(path, owner_records.RECORDED_CAPABILITY, follow_symlinks=follow)


def remove_capability(path: str, *, follow: bool) -> None:
    """Forget the recorded capabilities of a program; raise OSError, ENODATA where it has none."""
    with _opened_to_us(path, follow=follow):
        os.removexattr(path, owner_records.RECORDED_CAPABILITY, follow_symlinks=follow)


def _opened_to_us(path: str, *, follow: bool) -> AbstractContextManager[None]:
    return owner_records.opened_to_us(path, os.stat(path, follow_symlinks=follow).st_mode)


def owner_of_new(path: str, credentials: Credentials) -> Record:
    """Return who a new file at ``path`` belongs to: its group may be that of its directory; raise OSError."""
    parent = os.path.dirname(path.rstrip("/")) or ("/" if path.startswith("/") else ".")
    found = os.stat(parent)
    if not found.st_mode & stat.S_ISGID:
        return Record(credentials.user.fs, credentials.group.fs)
    return Record(credentials.user.fs, _record(parent, found, follow=True).gid)


def make_file(path: str, flags: int, mode: int, owner: Record) -> int:
    """Make a new file and return it open, with ``flags`` of open(2) and a mode that the umask has been taken from.

    It may be one without a name, see O_TMPFILE; else ``flags`` must say that it is new, O_EXCL.
    """
    fd = os.open(path, flags | os.O_CLOEXEC, mode)
    try:
        owner_records.write(fd, os.fstat(fd), owner)
    except BaseException:
        os.close(fd)
        raise
    return fd


def make_directory(path: str, mode: int, owner: Record) -> None:
    """Make a new directory; raise OSError."""
    os.mkdir(path, mode)
    owner_records.write(path, os.stat(path, follow_symlinks=False), owner)


def make_symlink(target: str, path: str, owner: Record) -> None:
    """Make a new symbolic link; raise OSError."""
    os.symlink(target, path)
    owner_records.write(path, os.stat(path, follow_symlinks=False), owner)


def make_node(path: str, mode: int, device: int, owner: Record) -> None:
    """Make a FIFO, a socket or an empty file; or for a device an empty file with a record; raise OSError."""
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        numbers = (stat.S_IFMT(mode), os.major(device), os.minor(device))
        owner = owner._replace(device=numbers)
        mode = stat.S_IFREG | stat.S_IMODE(mode)
    os.mknod(path, mode)
    owner_records.write(path, os.stat(path, follow_symlinks=False), owner)


def credentials_of_program(path: str, credentials: Credentials, *, follow: bool) -> Credentials:
    """Return who a process is once it executes a program: another where that has set-user-ID or set-group-ID."""
    found = os.stat(path, follow_symlinks=follow)
    mode = found.st_mode
    if not stat.S_ISREG(mode) or not mode & (stat.S_ISUID | stat.S_ISGID) or not mode & 0o111:
        return credentials._replace(keeps=False)
    record = _record(path, found, follow=follow)
    user, group = credentials.user, credentials.group
    if mode & stat.S_ISUID:
        user = user.executing(record.uid)
    if mode & stat.S_ISGID and mode & stat.S_IXGRP:
        group = group.executing(record.gid)
    return credentials._replace(user=user, group=group, keeps=False)


def _record(path: str, found: os.stat_result, *, follow: bool) -> Record:
    try:
        return owner_records.read(path, found, follow=follow)
    except ValueError:
        return ROOTS  # a step wrote nonsense; packing its layer says so
