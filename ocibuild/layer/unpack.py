"""Entries of one layer put into a directory, in overlayfs form.

The directory belongs to this layer alone, so what an entry replaces is always of the same layer: the last entry of a
name wins, but a whiteout hides only what the layers below have (image-spec, layer.md, "Whiteouts"). So whiteouts are
only noted as they come, and made at the end, when it is clear what else the layer has at their names.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, assert_never

from ocibuild.errors import InvalidLayer, UnsafePath
from ocibuild.layer.changes import Opaque, Removed
from ocibuild.layer.entry import Entry, Kind, shown
from ocibuild.layer.faults import translated, translating
from ocibuild.layer.whiteouts import (
    Ignored,
    Whiteout,
    make_opaque,
    make_whiteout,
    parse_whiteout,
)
from ocibuild.layer.xattrs import ACCESS_LISTS, put_xattrs
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from ocibuild.fs import Root
    from ocibuild.layer.limits import Meter
    from ocibuild.layer.owners import Ownership
    from ocibuild.layer.reader import TarReader

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL_BITS = 0o7000


class _Later(NamedTuple):
    """What a directory gets once it is full; ``mode`` is None where it has been made with it."""

    mode: int | None
    mtime_ns: int


_IMPLIED = _Later(0o755, 0)


class Unpacker:
    """Puts entries into the empty directory ``root``; ``finish()`` makes the whiteouts, and finishes the directories.

    ``implied`` holds the directories that were made because something in them has an entry and they have none;
    ``links`` the hard links, by name, whose target is not in this layer. All names that are kept are real ones: what a
    symlink of this layer leads to, not the way there. With ``outline`` regular files are made empty, and nobody's.
    """

    def __init__(self, root: Root, owners: Ownership, meter: Meter, *, outline: bool = False) -> None:
        self.implied: dict[str, None] = {".": None}
        self.links: dict[str, str] = {}
        self._root = root
        self._owners = owners
        self._meter = meter
        self._outline = outline
        self._umask = read_umask()
        self._directories: dict[str, _Later] = {}
        self._hidden: dict[str, None] = {}
        self._opaque: dict[str, None] = {}
        _prepare(root)

    def add(self, entry: Entry, reader: TarReader) -> None:
        """Put one entry; the body of a file is read from ``reader``.

        Raises InvalidLayer for an entry that makes no sense here, NoSpace where the disk is full.
        """
        try:
            self._add(entry, reader)
        except (OSError, UnsafePath) as error:
            raise translated(entry.name, error) from error

    def finish(self) -> None:
        """Make the whiteouts, and give the directories what would be lost or in the way while they are filled."""
        for name in self._hidden:
            with translating(name):
                self._make_whiteout(name)
        for name in self._opaque:
            with translating(name):
                self._make_opaque(name)
        for name in self.implied:
            self._directories.setdefault(name, _IMPLIED)
        closed = []
        for name, later in sorted(self._directories.items()):
            if later.mode is not None and later.mode & 0o700 != 0o700:
                closed.append((name, later))
                continue
            with translating(name):
                self._finish_directory(name, later)
        # Backwards, what is inside comes first: its parent may be closed to us after that.
        for name, later in reversed(closed):
            with translating(name):
                self._finish_directory(name, later)

    def _add(self, entry: Entry, reader: TarReader) -> None:
        whiteout = parse_whiteout(entry.name)
        if whiteout is not None:
            self._hide(whiteout)
            return
        if entry.name == "." and entry.kind is not Kind.DIRECTORY:
            raise InvalidLayer(f"a {entry.kind.value} would replace the root directory")
        if self.links:
            self.links.pop(self._real(entry.name), None)
        match entry.kind:
            case Kind.FILE if self._outline:
                self._empty_file(entry)
            case Kind.FILE:
                self._file(entry, reader)
            case Kind.DIRECTORY:
                self._directory(entry)
            case Kind.HARDLINK:
                self._hard_link(entry)
            case _:
                self._node(entry)

    def _parent(self, name: str) -> tuple[int, str]:
        """Lend the directory that ``name`` goes into, made where it is missing."""
        try:
            return self._root.borrow_parent(name, make=True, made=self._imply)
        except NotADirectoryError as error:
            raise InvalidLayer(f"{shown(name)} lies below something that is not a directory") from error

    def _real(self, name: str) -> str:
        """Return the real name of ``name``, whose last component is not followed; its parents are made."""
        _, last = self._parent(name)
        return f"{self._root.lent}/{last}" if self._root.lent else last

    def _imply(self, name: str) -> None:
        self._meter.hold(name)
        self.implied[name] = None
        self._directories.pop(name, None)  # of one that was replaced since

    def _make_room(self, name: str, *, for_directory: bool = False) -> tuple[int, str]:
        """Remove what an earlier entry put at ``name``, and lend its parent again."""
        dir_fd, last = self._parent(name)
        status = os.stat(last, dir_fd=dir_fd, follow_symlinks=False)
        if not (for_directory and stat.S_ISDIR(status.st_mode)):
            self._root.remove_at(dir_fd, last)
        return self._parent(name)

    def _file(self, entry: Entry, reader: TarReader) -> None:
        dir_fd, last = self._parent(entry.name)
        is_plain = not entry.xattrs and self._owners.is_given_by_creation(entry.uid, entry.gid)
        mode = entry.mode & 0o777 if is_plain else 0o600
        try:
            fd = os.open(last, _NEW_FILE, mode, dir_fd=dir_fd)
        except FileExistsError:
            dir_fd, last = self._make_room(entry.name)
            fd = os.open(last, _NEW_FILE, mode, dir_fd=dir_fd)
        try:
            _write_body(fd, entry, reader)
            if not is_plain:
                # A change of owner takes set-user-ID and capabilities away, so these come after it.
                self._owners.put(fd, entry)
                put_xattrs(fd, entry.name, entry.xattrs)
                os.fchmod(fd, entry.mode)
            elif entry.mode & (_SPECIAL_BITS | self._umask):
                os.fchmod(fd, entry.mode)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)

    def _empty_file(self, entry: Entry) -> None:
        dir_fd, last = self._parent(entry.name)
        try:
            os.mknod(last, stat.S_IFREG | 0o600, dir_fd=dir_fd)
        except FileExistsError:
            dir_fd, last = self._make_room(entry.name)
            os.mknod(last, stat.S_IFREG | 0o600, dir_fd=dir_fd)

    def _directory(self, entry: Entry) -> None:
        name = self._real(entry.name)
        self.implied.pop(name, None)
        self._meter.hold(name)
        dir_fd, last = self._parent(entry.name)
        is_new = True
        try:
            os.mkdir(last, entry.mode & 0o777 | 0o700, dir_fd=dir_fd)
        except FileExistsError:
            dir_fd, last, is_new = self._make_directory_over(entry)
        has_mode = is_new and not entry.mode & (_SPECIAL_BITS | self._umask) and entry.mode & 0o700 == 0o700
        self._directories[name] = _Later(None if has_mode else entry.mode, entry.mtime_ns)
        if is_new and not entry.xattrs and self._owners.is_given_by_creation(entry.uid, entry.gid):
            return
        fd = os.open(last, _OPEN_DIRECTORY, dir_fd=dir_fd)
        try:
            self._owners.put(fd, entry)
            put_xattrs(fd, entry.name, entry.xattrs)
        finally:
            os.close(fd)

    def _make_directory_over(self, entry: Entry) -> tuple[int, str, bool]:
        """Make a directory where something is already; say whether it is a new one."""
        dir_fd, last = self._make_room(entry.name, for_directory=True)
        try:
            os.mkdir(last, entry.mode & 0o777 | 0o700, dir_fd=dir_fd)
        except FileExistsError:
            return dir_fd, last, False
        return dir_fd, last, True

    def _hard_link(self, entry: Entry) -> None:
        target = self._target(entry)
        if target is None:
            self._link_later(entry)
            return
        if not self._try_link(entry):
            dir_fd, last = self._parent(entry.name)
            if os.path.samestat(target, os.stat(last, dir_fd=dir_fd, follow_symlinks=False)):
                return
            self._make_room(entry.name)
            self._try_link(entry)

    def _link_later(self, entry: Entry) -> None:
        """Note a link to a file of the layers below, in place of what an earlier entry put there."""
        if entry.linkname in self._hidden:
            raise InvalidLayer(f"{shown(entry.name)}: a hard link to {shown(entry.linkname)}, which the layer removes")
        name = self._real(entry.name)
        self._meter.hold(name)
        self._meter.hold(entry.linkname)
        self.links[name] = entry.linkname
        with suppress(FileNotFoundError):
            self._make_room(entry.name)

    def _target(self, entry: Entry) -> os.stat_result | None:
        """Return the status of what a hard link leads to; None where this layer does not have it."""
        try:
            target = self._root.lstat(entry.linkname)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISDIR(target.st_mode):
            raise InvalidLayer(f"{shown(entry.name)}: a hard link to {shown(entry.linkname)}, which is no file")
        return target

    def _try_link(self, entry: Entry) -> bool:
        dir_fd, last = self._parent(entry.name)
        target_fd, target = self._root.borrow_parent(entry.linkname)
        try:
            os.link(target, last, src_dir_fd=target_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
        except FileExistsError:
            return False
        return True

    def _node(self, entry: Entry) -> None:
        """Put a symlink, FIFO or device."""
        dir_fd, last = self._parent(entry.name)
        try:
            self._make_node(dir_fd, last, entry)
        except FileExistsError:
            dir_fd, last = self._make_room(entry.name)
            self._make_node(dir_fd, last, entry)
        if entry.xattrs:
            put_xattrs(f"/proc/self/fd/{dir_fd}/{last}", entry.name, entry.xattrs)
        times = (self._owners.access_time_ns(entry), entry.mtime_ns)
        os.utime(last, ns=times, dir_fd=dir_fd, follow_symlinks=False)

    def _make_node(self, dir_fd: int, last: str, entry: Entry) -> None:
        match entry.kind:
            case Kind.SYMLINK:
                os.symlink(entry.linkname, last, dir_fd=dir_fd)
            case Kind.FIFO:
                os.mkfifo(last, 0o600, dir_fd=dir_fd)
            case _:
                if entry.kind is Kind.CHARACTER and entry.device == (0, 0):
                    raise InvalidLayer(f"{shown(entry.name)}: a character device 0:0 would be taken for a whiteout")
                self._owners.make_device(dir_fd, last, entry)
                return
        if not self._owners.is_given_by_creation(entry.uid, entry.gid):
            self._owners.put_at(dir_fd, last, entry)
        if entry.kind is Kind.FIFO:
            os.chmod(last, entry.mode, dir_fd=dir_fd)

    def _hide(self, whiteout: Whiteout) -> None:
        match whiteout:
            case Removed(name):
                name = self._real(name)
                self._meter.hold(name)
                self._hidden[name] = None
            case Opaque(name):
                # One component more, so that the directory itself is made as a parent.
                self._parent(f"{name}/x" if name != "." else "x")
                name = self._root.lent or "."
                self._meter.hold(name)
                self._opaque[name] = None
            case Ignored():
                pass
            case _:
                assert_never(whiteout)

    def _make_whiteout(self, name: str) -> None:
        """Hide what the layers below have at ``name``; a directory of this layer stays, without their content."""
        parent = self._borrow_exactly(name)
        if parent is None:
            return  # a later entry has replaced the directory that it was in
        try:
            make_whiteout(*parent)
        except FileExistsError:
            if name in self.implied:  # it is a new directory, not the one that the layers below have
                del self.implied[name]
                self._directories[name] = _IMPLIED
            self._make_opaque(name)

    def _make_opaque(self, name: str) -> None:
        """Hide what the layers below have in the directory ``name``, where this layer has it still."""
        parent = self._borrow_exactly(name)
        if parent is None:
            return
        with suppress(FileNotFoundError, NotADirectoryError):
            make_opaque(*parent)

    def _finish_directory(self, name: str, later: _Later) -> None:
        parent = self._borrow_exactly(name)
        if parent is None:
            return
        dir_fd, last = parent
        try:
            fd = os.open(last, _OPEN_DIRECTORY, dir_fd=dir_fd)
        except (FileNotFoundError, NotADirectoryError):
            return  # a later entry has replaced it
        try:
            if later.mode is not None:
                os.fchmod(fd, later.mode)
            os.utime(fd, ns=(later.mtime_ns, later.mtime_ns))
        finally:
            os.close(fd)

    def _borrow_exactly(self, name: str) -> tuple[int, str] | None:
        """Lend the directory that the real ``name`` is in; None where it is there no more, or behind a symlink now."""
        try:
            parent = self._root.borrow_parent(name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return parent if self._root.lent == name.rpartition("/")[0] else None


def _write_body(fd: int, entry: Entry, reader: TarReader) -> None:
    """Write the file of the latest entry: mostly one call from the buffer that it came in."""
    whole = reader.whole_body()
    if whole is not None:
        _write(fd, whole, 0)
        return
    end = 0
    for offset, piece in reader.pieces():
        _write(fd, piece, offset)
        end = offset + len(piece)
    if end != entry.size:
        os.ftruncate(fd, entry.size)


def _write(fd: int, piece: memoryview, offset: int) -> None:
    while piece:
        written = os.pwrite(fd, piece, offset)
        piece = piece[written:]
        offset += written


def _prepare(root: Root) -> None:
    """Take from the directory what new files would inherit from it: a group, and default access lists."""
    status = os.fstat(root.fd)
    ours = (os.geteuid(), os.getegid())
    if (status.st_uid, status.st_gid) != ours:
        os.fchown(root.fd, *ours)
    os.fchmod(root.fd, 0o755)
    for key in ACCESS_LISTS:
        try:
            os.removexattr(root.fd, key)
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.ENOTSUP, errno.EOPNOTSUPP):
                raise


def read_umask() -> int:
    """Return the umask of this process; umask(2) could only tell by changing it for all threads."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    except OSError:
        pass
    return 0o777
