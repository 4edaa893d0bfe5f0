"""How owners and device nodes are put on files and read from them: for real, or recorded beside the file."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Protocol

from ocibuild import owner_records
from ocibuild.errors import InvalidLayer
from ocibuild.layer.entry import Kind
from ocibuild.owner_records import Record
from ocibuild.values import NamedTuple, dataclass

if TYPE_CHECKING:
    from ocibuild.layer.entry import Entry


class Nature(NamedTuple):
    """What a file is to the layer."""

    kind: Kind
    mode: int
    uid: int
    gid: int
    device: tuple[int, int]


class Ownership(Protocol):
    """How owners and device nodes are put on files and read from them."""

    def is_given_by_creation(self, uid: int, gid: int) -> bool:
        """Say whether a file that this process makes has this owner without any further call."""

    def put(self, fd: int, entry: Entry) -> None:
        """Make the owner of ``entry`` that of an open file or directory. Its mode is set after that."""

    def put_at(self, dir_fd: int, name: str, entry: Entry) -> None:
        """Likewise for what cannot be opened, a symlink or FIFO or device, which is not followed."""

    def access_time_ns(self, entry: Entry) -> int:
        """Return the time of access that a symlink or FIFO with the owner of ``entry`` must have."""

    def make_device(self, dir_fd: int, name: str, entry: Entry) -> None:
        """Make a device node, with the owner and mode of ``entry``."""

    def read(self, path: int | str, status: os.stat_result) -> Nature:
        """Return what the file is; ``path`` is a descriptor, or a name to be used without following."""


@dataclass(frozen=True, slots=True)
class RealOwners:
    """Owners and devices as the system has them: for root, and for a user namespace with a range of IDs."""

    created: tuple[int, int]

    @classmethod
    def of_this_process(cls) -> RealOwners:
        """Return the way for this process as it is now: new files belong to its effective IDs."""
        return cls((os.geteuid(), os.getegid()))

    def is_given_by_creation(self, uid: int, gid: int) -> bool:
        """See Ownership."""
        return self.created == (uid, gid)

    def put(self, fd: int, entry: Entry) -> None:
        """See Ownership."""
        try:
            os.fchown(fd, entry.uid, entry.gid)
        except OSError as error:
            raise _refused(entry, error) from error

    def put_at(self, dir_fd: int, name: str, entry: Entry) -> None:
        """See Ownership."""
        try:
            os.chown(name, entry.uid, entry.gid, dir_fd=dir_fd, follow_symlinks=False)
        except OSError as error:
            raise _refused(entry, error) from error

    def access_time_ns(self, entry: Entry) -> int:
        """See Ownership."""
        return entry.mtime_ns

    def make_device(self, dir_fd: int, name: str, entry: Entry) -> None:
        """See Ownership."""
        try:
            os.mknod(name, _device_type(entry) | 0o600, os.makedev(*entry.device), dir_fd=dir_fd)
        except OSError as error:
            raise _refused(entry, error) from error
        self.put_at(dir_fd, name, entry)
        os.chmod(name, entry.mode, dir_fd=dir_fd)

    def read(self, path: int | str, status: os.stat_result) -> Nature:  # noqa: ARG002 -- a record needs the path
        """See Ownership."""
        return native(status)


@dataclass(frozen=True, slots=True)
class MappedOwners(RealOwners):
    """Owners as the system has them, and devices recorded: for a user namespace with a range of IDs.

    No capability lets a user namespace make a device node, so one becomes an empty file with a record.
    """

    def make_device(self, dir_fd: int, name: str, entry: Entry) -> None:
        """See Ownership."""
        _record_device(dir_fd, name, entry)
        self.put_at(dir_fd, name, entry)

    def read(self, path: int | str, status: os.stat_result) -> Nature:
        """See Ownership."""
        found = native(status)
        if found.kind is not Kind.FILE or status.st_size:
            return found
        return _recorded(path, status, found)._replace(uid=found.uid, gid=found.gid)


@dataclass(frozen=True, slots=True)
class RecordedOwners:
    """Owners recorded with the file, for a process with one ID that cannot give files away.

    Every file belongs to us, which stands for root; another owner is recorded. A device becomes an empty file with a
    record.
    """

    def is_given_by_creation(self, uid: int, gid: int) -> bool:
        """See Ownership."""
        return uid == 0 == gid

    def put(self, fd: int, entry: Entry) -> None:
        """See Ownership."""
        owner_records.write(fd, os.fstat(fd), Record(entry.uid, entry.gid), mode=entry.mode)

    def put_at(self, dir_fd: int, name: str, entry: Entry) -> None:
        """See Ownership."""
        if max(entry.uid, entry.gid) >= owner_records.MARK_LIMIT:
            raise InvalidLayer(f"{entry.name!r}: the owner {entry.uid}:{entry.gid} cannot be recorded")
        path = f"/proc/self/fd/{dir_fd}/{name}"
        owner_records.write(path, os.stat(path, follow_symlinks=False), Record(entry.uid, entry.gid))

    def access_time_ns(self, entry: Entry) -> int:
        """See Ownership."""
        return owner_records.access_time(entry.uid, entry.gid, entry.mtime_ns)

    def make_device(self, dir_fd: int, name: str, entry: Entry) -> None:
        """See Ownership."""
        _record_device(dir_fd, name, entry)

    def read(self, path: int | str, status: os.stat_result) -> Nature:
        """See Ownership."""
        return _recorded(path, status, native(status)._replace(uid=0, gid=0))


def native(status: os.stat_result) -> Nature:
    """Return what the status says; InvalidLayer for a socket, which no tar can hold."""
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        raise InvalidLayer("a socket cannot be part of a layer")
    device = (os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in (Kind.CHARACTER, Kind.BLOCK) else (0, 0)
    return Nature(kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, device)


_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFIFO: Kind.FIFO,
}


def _record_device(dir_fd: int, name: str, entry: Entry) -> None:
    """Make an empty file that stands for a device node."""
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=dir_fd)
    try:
        record = Record(entry.uid, entry.gid, (_device_type(entry), *entry.device))
        owner_records.write(fd, os.fstat(fd), record, mode=entry.mode)
        os.fchmod(fd, entry.mode)
    finally:
        os.close(fd)


def _recorded(path: int | str, status: os.stat_result, found: Nature) -> Nature:
    """Return what a file is with its record, where it has one; a descriptor must be one for reading."""
    try:
        record = owner_records.read(path, status)
    except ValueError as error:
        raise InvalidLayer(str(error)) from error
    found = found._replace(uid=record.uid, gid=record.gid)
    if record.device is None or found.kind is not Kind.FILE:
        return found
    kind = Kind.CHARACTER if record.device[0] == stat.S_IFCHR else Kind.BLOCK
    return found._replace(kind=kind, device=record.device[1:])


def _device_type(entry: Entry) -> int:
    return stat.S_IFCHR if entry.kind is Kind.CHARACTER else stat.S_IFBLK


def _refused(entry: Entry, error: OSError) -> InvalidLayer:
    what = f"the {entry.kind.value} of" if entry.kind in (Kind.CHARACTER, Kind.BLOCK) else "the owner"
    return InvalidLayer(
        f"{entry.name!r}: {what} {entry.uid}:{entry.gid} is refused by the system ({error.strerror})",
        remedy="give the user a larger range in /etc/subuid and /etc/subgid, or run as root",
    )
