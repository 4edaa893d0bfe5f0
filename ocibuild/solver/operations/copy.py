"""COPY and ADD: files of one tree put into another."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ocibuild.errors import SourceError
from ocibuild.layer import Entry, Kind, is_whiteout
from ocibuild.solver.operations.archive import is_archive, unpacked
from ocibuild.solver.operations.directory import find_owner, make_directories
from ocibuild.solver.operations.sources import Sources, owner_in
from ocibuild.source import Selected, walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.fs import Root
    from ocibuild.graph import Copy
    from ocibuild.layer import Ownership
    from ocibuild.solver.workshop import Workshop
    from ocibuild.store import ActiveSnapshot, Snapshot

_CAPABILITY = "security.capability"


def copy(shop: Workshop, vertex: Copy, sources: Sources, stack: Sequence[Snapshot], active: ActiveSnapshot) -> None:
    """Put the sources of ``vertex`` into the tree of ``stack``, the changes going into ``active``.

    A directory gives what it holds, a file itself; the destination is a directory where it ends with a slash, where
    there are several sources, or where it is one already. Raises SourceError.
    """
    with shop.snapshotter.writing(stack, active) as root:
        owner = find_owner(vertex.owner, root) if vertex.owner is not None else None
        copier = _Copier(sources, root, shop.ownership, owner, vertex.mode)
        for number, selected in enumerate(sources.selected):
            if selected.is_directory:
                copier.copy_directory(selected, vertex.destination)
            elif vertex.unpack and is_archive(sources.root, selected.path):
                _add_archive(shop, vertex, copier, selected, os.path.join(active.scratch, f"archive-{number}"))
            else:
                copier.copy_file(selected, vertex.destination)
        copier.finish()


def _add_archive(shop: Workshop, vertex: Copy, copier: _Copier, selected: Selected, into: str) -> None:
    """Unpack an archive beside the tree, and copy what it holds."""
    with unpacked(copier.sources.root, selected.path, into, shop.ownership) as tree:
        inside = Sources(tree, [], owner_in(tree, shop.ownership))
        unpacker = _Copier(inside, copier.target, shop.ownership, copier.owner, copier.mode)
        unpacker.copy_directory(Selected("", "", os.fstat(tree.fd)), vertex.destination)
        unpacker.finish()


@dataclass(slots=True)
class _Copier:
    """One COPY being done; ``_times`` are of directories, set at the end because filling them changes them."""

    sources: Sources
    target: Root
    ownership: Ownership
    owner: tuple[int, int] | None
    mode: int | None
    _times: list[tuple[str, int]] = field(default_factory=list)
    _links: dict[tuple[int, int], str] = field(default_factory=dict)

    def copy_file(self, selected: Selected, destination: str) -> None:
        """Copy a source that is no directory."""
        into = destination.endswith("/") or len(self.sources.selected) > 1 or self._is_directory(destination)
        base = os.path.basename(selected.name)
        name = f"{destination.rstrip('/')}/{base}" if into else destination
        self._make_parents(name)
        self._copy_one(selected.path, selected.status, name)

    def copy_directory(self, selected: Selected, destination: str) -> None:
        """Copy what a directory holds; one that is there already at the destination keeps its own mode and owner."""
        top = destination.rstrip("/") or "/"
        new = not self._exists(top)
        self._make_parents(f"{top}/")
        for found in walk(self.sources.root, selected, excluded=self.sources.excluded):
            if found.name:
                source = f"{selected.path}/{found.name}" if selected.path else found.name
                self._copy_one(source, found.status, f"{top.rstrip('/')}/{found.name}")
            elif new:
                self._dress_directory(selected.path, selected.status, top)

    def finish(self) -> None:
        """Set the times of directories."""
        for name, mtime_ns in reversed(self._times):
            with self.target.parent_of(name) as (fd, last):
                os.utime(last, ns=(mtime_ns, mtime_ns), dir_fd=fd, follow_symlinks=False)

    def _is_directory(self, destination: str) -> bool:
        try:
            return stat.S_ISDIR(self.target.lstat(self.target.resolve(destination)).st_mode)
        except FileNotFoundError:
            return False

    def _make_parents(self, name: str) -> None:
        make_directories(self.target, os.path.dirname(name), self.owner or (0, 0), self.ownership)

    def _exists(self, name: str) -> bool:
        try:
            self.target.lstat(name)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _copy_one(self, source: str, status: os.stat_result, name: str) -> None:
        with self.target.parent_of(name) as (fd, last):
            if last == ".":
                return
            directory = stat.S_ISDIR(status.st_mode)
            self._make_room(fd, last, directory=directory)
            if directory:
                self._dress_directory(source, status, name)
            elif stat.S_ISREG(status.st_mode):
                self._copy_file(source, status, fd, last, name)
            elif stat.S_ISLNK(status.st_mode):
                os.symlink(self.sources.root.readlink(source), last, dir_fd=fd)
                self._put_at(source, status, fd, last, Kind.SYMLINK)
            else:
                self._copy_special(source, status, fd, last)

    def _make_room(self, fd: int, last: str, *, directory: bool) -> None:
        """Leave ``last`` free for a file, or a directory in its place."""
        try:
            there = os.stat(last, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            there = None
        if there is not None and stat.S_ISDIR(there.st_mode):
            if not directory:
                raise SourceError(f"{last!r}: a file cannot replace a directory")
            return
        if there is not None:
            self.target.remove_at(fd, last)
        if directory:
            os.mkdir(last, 0o755, dir_fd=fd)

    def _dress_directory(self, source: str, status: os.stat_result, name: str) -> None:
        fd = self.target.open_file(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._dress(fd, self._entry(source, status, Kind.DIRECTORY))
        finally:
            os.close(fd)
        self._times.append((name, status.st_mtime_ns))

    def _copy_file(self, source: str, status: os.stat_result, fd: int, last: str, name: str) -> None:
        inode = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and inode in self._links:
            with self.target.parent_of(self._links[inode]) as (other_fd, other):
                os.link(other, last, src_dir_fd=other_fd, dst_dir_fd=fd, follow_symlinks=False)
            return
        self._links[inode] = name
        reader = self.sources.root.open_file(source)
        try:
            writer = os.open(last, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=fd)
            try:
                _copy_bytes(reader, writer)
                self._dress(writer, self._entry(source, status, Kind.FILE))
                _copy_capability(reader, writer)
                os.utime(writer, ns=(status.st_mtime_ns, status.st_mtime_ns))
            finally:
                os.close(writer)
        finally:
            os.close(reader)

    def _copy_special(self, source: str, status: os.stat_result, fd: int, last: str) -> None:
        if stat.S_ISFIFO(status.st_mode):
            os.mkfifo(last, 0o600, dir_fd=fd)
            entry = self._put_at(source, status, fd, last, Kind.FIFO)
            os.chmod(last, entry.mode, dir_fd=fd)
            return
        if is_whiteout(status):
            raise SourceError(f"{source!r} is a whiteout, which only a layer can hold")
        kind = Kind.CHARACTER if stat.S_ISCHR(status.st_mode) else Kind.BLOCK
        self.ownership.make_device(fd, last, self._entry(source, status, kind))

    def _put_at(self, source: str, status: os.stat_result, fd: int, last: str, kind: Kind) -> Entry:
        entry = self._entry(source, status, kind)
        if not self.ownership.is_given_by_creation(entry.uid, entry.gid):
            self.ownership.put_at(fd, last, entry)
        os.utime(last, ns=(status.st_mtime_ns, status.st_mtime_ns), dir_fd=fd, follow_symlinks=False)
        return entry

    def _dress(self, fd: int, entry: Entry) -> None:
        """Give an open file or directory its owner and then its mode, which chown would strip of set-user-ID."""
        there = os.fstat(fd)
        if (there.st_uid, there.st_gid) != (entry.uid, entry.gid):
            self.ownership.put(fd, entry)
        os.fchmod(fd, entry.mode)

    def _entry(self, source: str, status: os.stat_result, kind: Kind) -> Entry:
        uid, gid, mode = self.sources.owner(source, status)
        if self.owner is not None:
            uid, gid = self.owner
        if self.mode is not None:
            mode = self.mode
        device = (os.major(status.st_rdev), os.minor(status.st_rdev))
        return Entry(source, kind, mode, uid, gid, mtime_ns=status.st_mtime_ns, device=device)


def _copy_bytes(reader: int, writer: int) -> None:
    """Copy inside the kernel, sharing blocks where the file system can."""
    try:
        while os.copy_file_range(reader, writer, 1 << 30):
            pass
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        while os.sendfile(writer, reader, None, 1 << 30):
            pass


def _copy_capability(reader: int, writer: int) -> None:
    try:
        value = os.getxattr(reader, _CAPABILITY)
    except OSError:
        return
    os.setxattr(writer, _CAPABILITY, value)
