"""COPY and ADD: files of one tree put into another, by the rules of BuildKit."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ocibuild.errors import SourceError, UnsafePath
from ocibuild.layer import Entry, Kind, is_whiteout
from ocibuild.solver.operations.archive import is_archive, unpack
from ocibuild.solver.operations.directory import explained, find_owner, make_directories
from ocibuild.solver.operations.placing import Placer
from ocibuild.source import walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.graph import Copy
    from ocibuild.solver.operations.sources import Sources
    from ocibuild.solver.workshop import Workshop
    from ocibuild.source import Selected
    from ocibuild.store import ActiveSnapshot, Snapshot

_MAX_LINKS = 40
_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
}


def copy(shop: Workshop, vertex: Copy, sources: Sources, stack: Sequence[Snapshot], active: ActiveSnapshot) -> None:
    """Put the sources of ``vertex`` into the tree of ``stack``, the changes going into ``active``.

    A directory gives what it holds, a file itself; the destination is a directory where it ends with a slash or is one
    already, and its symlinks are followed. Raises SourceError.
    """
    with shop.snapshotter.writing(stack, active) as root, explained(vertex.destination):
        owner = find_owner(vertex.owner, root) if vertex.owner is not None else None
        placer = Placer(root, shop.ownership)
        copier = _Copier(sources, placer, vertex.destination, owner, vertex.mode)
        for selected in sources.selected:
            if selected.is_directory:
                copier.copy_directory(selected)
            elif vertex.unpack and is_archive(sources.root, selected.path):
                copier.unpack(selected)
            else:
                copier.copy_file(selected)
        placer.finish()


@dataclass(slots=True)
class _Copier:
    """One COPY being done; ``_links`` has the new name of each file of the current source that has several."""

    sources: Sources
    placer: Placer
    destination: str
    owner: tuple[int, int] | None
    mode: int | None
    _links: dict[tuple[int, int], str] = field(default_factory=dict)

    def copy_file(self, selected: Selected) -> None:
        """Copy a source that is no directory."""
        self._links.clear()
        into = self.destination.endswith("/")
        target = self.destination if into else self._follow(self.destination)
        if into or self._is_directory(target):
            target = f"{target.rstrip('/')}/{os.path.basename(selected.name)}"
        elif len(self.sources.selected) > 1:
            raise SourceError(
                f"{self.destination} in the image is not a directory, and there are several sources",
                remedy="end the destination with a slash",
            )
        self._make_parents(target)
        self._copy_one(selected.path, selected.status, target)

    def copy_directory(self, selected: Selected) -> None:
        """Copy what a directory holds; the destination itself gets only its time."""
        self._links.clear()
        top = self.destination.rstrip("/")
        self._make_parents(f"{top}/")
        for found in walk(self.sources.root, selected, excluded=self.sources.excluded):
            if found.name:
                source = f"{selected.path}/{found.name}" if selected.path else found.name
                self._copy_one(source, found.status, f"{top}/{found.name}")
        real = self.placer.root.resolve(f"{top}/")
        self.placer.keep_time(real, selected.status.st_mtime_ns)

    def unpack(self, selected: Selected) -> None:
        """Unpack an archive: as in BuildKit its entries keep their modes, and symlinks stay below the destination."""
        root = self.placer.root
        top = f"{self.destination.rstrip('/')}/"
        make_directories(root, top, self.placer.ownership, owner=self.owner)
        with root.open_directory(top) as inside:
            unpack(self.sources.root, selected.path, Placer(inside, self.placer.ownership), owner=self.owner)
        root.forget()

    def _follow(self, target: str) -> str:
        """Return where the symlinks at ``target`` lead, the directories on the way made."""
        for _ in range(_MAX_LINKS):
            self._make_parents(target)
            there = self.placer.there(target)
            if there is None or not stat.S_ISLNK(there.st_mode):
                return target
            link = self.placer.root.readlink(target)
            target = link if link.startswith("/") else f"{os.path.dirname(target)}/{link}"
        raise UnsafePath(f"{self.destination}: more than {_MAX_LINKS} symbolic links, or a loop of them")

    def _is_directory(self, target: str) -> bool:
        there = self.placer.there(target)
        return there is not None and stat.S_ISDIR(there.st_mode)

    def _make_parents(self, name: str) -> None:
        self.placer.parents(name, owner=self.owner, mode=0o755 if self.mode is None else self.mode)

    def _copy_one(self, source: str, status: os.stat_result, name: str) -> None:
        self._make_room(name, directory=stat.S_ISDIR(status.st_mode))
        inode = (status.st_dev, status.st_ino)
        first = self._links.get(inode) if status.st_nlink > 1 else None
        if first is not None:
            self.placer.hard_link(name, first)
            return
        if is_whiteout(status):
            raise SourceError(f"{source!r} is a character device 0:0, which no layer can hold")
        entry = self._entry(source, status, name)
        match entry.kind:
            case Kind.DIRECTORY:
                self.placer.directory(entry)
            case Kind.FILE:
                self._copy_content(source, entry)
                self._links[inode] = name
            case _:
                self.placer.node(entry)

    def _make_room(self, name: str, *, directory: bool) -> None:
        """Remove what a file replaces; neither a file nor a directory takes the place of the other."""
        there = self.placer.there(name)
        if there is None:
            return
        if stat.S_ISDIR(there.st_mode) != directory:
            kinds = ("a directory", "something that is no directory")
            copied, found = kinds if directory else kinds[::-1]
            raise SourceError(f"{name} in the image is {found}, and {copied} cannot replace it")
        if not directory:
            self.placer.root.remove(name)

    def _copy_content(self, source: str, entry: Entry) -> None:
        reader = self.sources.root.open_file(source)
        try:
            if not stat.S_ISREG(os.fstat(reader).st_mode):
                raise SourceError(f"{source!r} was replaced while it was being copied", remedy="build again")
            entry.xattrs = self.sources.xattrs(reader)
            self.placer.file(entry, partial(_copy_bytes, reader))
        finally:
            os.close(reader)

    def _entry(self, source: str, status: os.stat_result, name: str) -> Entry:
        uid, gid, mode = self.sources.owner(source, status)
        kind = _KINDS[stat.S_IFMT(status.st_mode)]
        return Entry(
            name,
            kind,
            mode if self.mode is None else self.mode,
            *(self.owner or (uid, gid)),
            mtime_ns=status.st_mtime_ns,
            linkname=self.sources.root.readlink(source) if kind is Kind.SYMLINK else "",
            device=(os.major(status.st_rdev), os.minor(status.st_rdev)),
        )


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
