"""Single files put into a tree, as COPY and ADD do it: made anew, with owner, mode, attributes and time."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from ocibuild.layer.entry import Entry, Kind
from ocibuild.layer.xattrs import put_xattrs
from ocibuild.solver.operations.directory import make_directories, put_owner

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.fs import Root
    from ocibuild.layer.owners import Ownership

_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Placer:
    """Puts files below ``root``; an entry's ``name`` is where it goes, with or without a leading slash.

    Nothing but a directory may be there already. ``finish()`` sets the times of directories, which filling changes.
    """

    def __init__(self, root: Root, ownership: Ownership) -> None:
        self.root = root
        self.ownership = ownership
        self._times: dict[str, int] = {}

    def there(self, name: str) -> os.stat_result | None:
        """Return the status of what is at ``name``, a symlink where it is one; None where nothing is."""
        try:
            return self.root.lstat(name)
        except FileNotFoundError:
            return None

    def parents(self, name: str, *, owner: tuple[int, int] | None = None, mode: int = 0o755) -> None:
        """Make the directories above ``name`` that are missing."""
        make_directories(self.root, os.path.dirname(name), self.ownership, owner=owner, mode=mode)

    def directory(self, entry: Entry) -> None:
        """Make a directory, or give the one that is there everything of ``entry``."""
        with self.root.parent_of(entry.name) as (dir_fd, last), suppress(FileExistsError):
            os.mkdir(last, 0o700, dir_fd=dir_fd)
        fd = self.root.open_file(entry.name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._dress(fd, entry)
        finally:
            os.close(fd)
        self.keep_time(entry.name, entry.mtime_ns)

    def change_mode(self, name: str, mode: int) -> None:
        """Give the directory ``name``, which is there, this mode."""
        fd = self.root.open_file(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fchmod(fd, mode)
        finally:
            os.close(fd)

    def keep_time(self, name: str, mtime_ns: int) -> None:
        """Give the directory ``name`` this time in the end."""
        self._times.pop(name, None)
        self._times[name] = mtime_ns

    def keeps_time(self, name: str) -> bool:
        """Tell whether the directory ``name`` gets a time in the end, whatever is put into it."""
        return name in self._times

    def file(self, entry: Entry, fill: Callable[[int], None]) -> None:
        """Make a file; ``fill`` writes its content to a descriptor."""
        with self.root.parent_of(entry.name) as (dir_fd, last):
            fd = os.open(last, _NEW_FILE, 0o600, dir_fd=dir_fd)
        try:
            fill(fd)
            self._dress(fd, entry)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)

    def hard_link(self, name: str, first: str) -> None:
        """Give the file ``first`` the name ``name`` too."""
        with self.root.parent_of(first) as (first_fd, first_last), self.root.parent_of(name) as (dir_fd, last):
            os.link(first_last, last, src_dir_fd=first_fd, dst_dir_fd=dir_fd, follow_symlinks=False)

    def node(self, entry: Entry) -> None:
        """Make a symlink, FIFO or device node."""
        with self.root.parent_of(entry.name) as (dir_fd, last):
            match entry.kind:
                case Kind.SYMLINK:
                    os.symlink(entry.linkname, last, dir_fd=dir_fd)
                case Kind.FIFO:
                    os.mkfifo(last, 0o600, dir_fd=dir_fd)
                case _:
                    self.ownership.make_device(dir_fd, last, entry)
            there = os.stat(last, dir_fd=dir_fd, follow_symlinks=False)
            if entry.kind in (Kind.SYMLINK, Kind.FIFO) and (there.st_uid, there.st_gid) != (entry.uid, entry.gid):
                self.ownership.put_at(dir_fd, last, entry)
            if entry.kind is Kind.FIFO:
                os.chmod(last, entry.mode, dir_fd=dir_fd)
            put_xattrs(f"/proc/self/fd/{dir_fd}/{last}", entry.name, entry.xattrs)
            times = (self.ownership.access_time_ns(entry), entry.mtime_ns)
            os.utime(last, ns=times, dir_fd=dir_fd, follow_symlinks=False)

    def finish(self) -> None:
        """Set the times of directories that are still there."""
        for name, mtime_ns in reversed(self._times.items()):
            with suppress(FileNotFoundError, NotADirectoryError), self.root.parent_of(name) as (fd, last):
                os.utime(last, ns=(mtime_ns, mtime_ns), dir_fd=fd, follow_symlinks=False)
        self._times.clear()

    def _dress(self, fd: int, entry: Entry) -> None:
        """Set the owner, which takes set-user-ID and capabilities away, and then what it takes away."""
        put_owner(fd, entry, self.ownership)
        put_xattrs(fd, entry.name, entry.xattrs)
        os.fchmod(fd, entry.mode)
