"""The files of an image, without the image: as one tar, or in a folder."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from ocibuild.fs import ContentCopier, open_readable, status_of
from ocibuild.layer.changes import Changed
from ocibuild.layer.entry import Kind
from ocibuild.layer.pack import pack
from ocibuild.layer.xattrs import read_xattrs
from ocibuild.oci import Compression
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.fs import Root
    from ocibuild.layer.changes import Change
    from ocibuild.layer.owners import Nature, Ownership

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_tree_tar(root: Root, ownership: Ownership, write: Callable[[bytes], object]) -> None:
    """Write all of a tree as a plain tar, names in the order of their bytes; the same tree gives the same bytes.

    Sockets are left out. Raises InvalidLayer, and whatever ``write`` raises.
    """
    pack(_everything(root), root, write, compression=Compression.NONE, owners=ownership)


def _everything(root: Root) -> Iterator[Change]:
    for name, status in root.walk():
        if not stat.S_ISSOCK(status.st_mode):
            yield Changed(name, status)


class Lost(NamedTuple):
    """What a folder could not be given: files that belong to somebody else now, and devices and attributes left out."""

    owners: int = 0
    devices: int = 0
    attributes: int = 0


def write_tree_folder(root: Root, ownership: Ownership, folder: Root, *, keeps_owners: bool) -> Lost:
    """Put all of a tree into a folder, and return what of it was lost.

    What the folder has stays, unless the tree has something else of that name; no link in it is followed out of it.
    ``keeps_owners`` is whether this process may give files away; else all belong to whoever runs it. Raises OSError.
    """
    return _FolderWriter(root, ownership, folder, keeps_owners=keeps_owners).write()


def write_tree_entry(root: Root, name: str, ownership: Ownership, folder: Root, to: str) -> None:
    """Put the file ``name`` of a tree, which is no directory, into a folder as ``to``, owned by whoever runs this."""
    writer = _FolderWriter(root, ownership, folder, keeps_owners=False)
    writer.put(name, root.lstat(name), to)


class _FolderWriter:
    def __init__(self, root: Root, ownership: Ownership, folder: Root, *, keeps_owners: bool) -> None:
        self._root = root
        self._ownership = ownership
        self._folder = folder
        self._keeps_owners = keeps_owners
        self._contents = ContentCopier()
        self._links: dict[tuple[int, int], str] = {}
        self._directories: list[tuple[str, int, int]] = []
        self._lost = [0, 0, 0]

    def write(self) -> Lost:
        """Put everything there; directories get their modes and times when nothing more goes into them."""
        for name, status in self._root.walk():
            if not stat.S_ISSOCK(status.st_mode):
                self.put(name, status, name)
        for name, mode, mtime_ns in reversed(self._directories):
            with self._folder.parent_of(name) as (dir_fd, last):
                os.chmod(last, mode, dir_fd=dir_fd)
                os.utime(last, ns=(mtime_ns, mtime_ns), dir_fd=dir_fd, follow_symlinks=False)
        return Lost(*self._lost)

    def put(self, source: str, status: os.stat_result, name: str) -> None:
        """Put ``source`` of the tree into the folder as ``name``."""
        source_fd, last = self._root.borrow_parent(source)
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            fd = open_readable(last, source_fd)
            try:
                self._put_opened(name, fd, status, self._ownership.read(fd, status))
            finally:
                os.close(fd)
        else:
            path = f"/proc/self/fd/{source_fd}/{last}"
            target = os.readlink(last, dir_fd=source_fd) if stat.S_ISLNK(status.st_mode) else ""
            self._put_node(name, self._ownership.read(path, status), status, target)

    def _put_opened(self, name: str, fd: int, status: os.stat_result, nature: Nature) -> None:
        if nature.kind is Kind.DIRECTORY:
            self._make_directory(name)
            self._directories.append((name, nature.mode, status.st_mtime_ns))
            to = self._folder.open_file(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        elif nature.kind is not Kind.FILE:  # a device that is recorded
            self._put_node(name, nature, status, "")
            return
        elif self._link(name, status):
            return
        else:
            self._make_room(name)
            with self._folder.parent_of(name) as (dir_fd, last):
                to = os.open(last, _NEW_FILE, 0o600, dir_fd=dir_fd)
        try:
            if nature.kind is Kind.FILE:
                self._contents.copy(fd, to, status.st_size)
            self._dress(to, fd, nature)
            if nature.kind is Kind.FILE:
                os.utime(to, ns=(status.st_mtime_ns, status.st_mtime_ns))
        finally:
            os.close(to)

    def _dress(self, to: int, fd: int, nature: Nature) -> None:
        """Give an open file its owner, its attributes and, as the owner takes bits of it away, its mode."""
        if self._keeps_owners:
            os.fchown(to, nature.uid, nature.gid)
        elif (nature.uid, nature.gid) != (0, 0):
            self._lost[0] += 1
        for key, value in read_xattrs(fd).items():
            try:
                os.setxattr(to, key, value)
            except OSError:
                self._lost[2] += 1
        os.fchmod(to, nature.mode | (0o700 if nature.kind is Kind.DIRECTORY else 0))

    def _put_node(self, name: str, nature: Nature, status: os.stat_result, target: str) -> None:
        self._make_room(name)
        with self._folder.parent_of(name) as (dir_fd, last):
            match nature.kind:
                case Kind.SYMLINK:
                    os.symlink(target, last, dir_fd=dir_fd)
                case Kind.FIFO:
                    os.mkfifo(last, 0o600, dir_fd=dir_fd)
                case _:
                    kind = stat.S_IFCHR if nature.kind is Kind.CHARACTER else stat.S_IFBLK
                    try:
                        os.mknod(last, kind | 0o600, os.makedev(*nature.device), dir_fd=dir_fd)
                    except PermissionError:
                        self._lost[1] += 1
                        return
            if self._keeps_owners:
                os.chown(last, nature.uid, nature.gid, dir_fd=dir_fd, follow_symlinks=False)
            elif (nature.uid, nature.gid) != (0, 0):
                self._lost[0] += 1
            if nature.kind is not Kind.SYMLINK:
                os.chmod(last, nature.mode, dir_fd=dir_fd)
            os.utime(last, ns=(status.st_mtime_ns, status.st_mtime_ns), dir_fd=dir_fd, follow_symlinks=False)

    def _link(self, name: str, status: os.stat_result) -> bool:
        """Link a file to its first name, where it had one before."""
        first = self._links.setdefault((status.st_dev, status.st_ino), name) if status.st_nlink > 1 else name
        if first == name:
            return False
        self._make_room(name)
        with self._folder.parent_of(first) as (first_fd, first_last), self._folder.parent_of(name) as (dir_fd, last):
            os.link(first_last, last, src_dir_fd=first_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
        return True

    def _make_directory(self, name: str) -> None:
        """Make a directory, unless one is there already; what else is there goes, a link to a directory too."""
        with self._folder.parent_of(name) as (dir_fd, last):
            there = status_of(dir_fd, last)
            if there is None:
                os.mkdir(last, 0o700, dir_fd=dir_fd)
                return
            if stat.S_ISDIR(there.st_mode):
                os.chmod(last, stat.S_IMODE(there.st_mode) | 0o700, dir_fd=dir_fd)
                return
        self._folder.remove(name)
        self._make_directory(name)

    def _make_room(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._folder.remove(name)
