"""COPY and ADD: files of other trees put into one, by the rules of BuildKit."""

from __future__ import annotations

import os
import stat
from contextlib import nullcontext
from dataclasses import field, replace
from typing import TYPE_CHECKING

from ocibuild.errors import SourceError
from ocibuild.fs import ContentCopier, Root, same_times
from ocibuild.graph import Scratch
from ocibuild.layer.entry import Entry, Kind
from ocibuild.layer.whiteouts import is_whiteout
from ocibuild.solver.operations.archive import is_archive, unpack
from ocibuild.solver.operations.destination import Destination
from ocibuild.solver.operations.directory import explained
from ocibuild.solver.operations.owners import find_owner
from ocibuild.solver.operations.placing import Placer
from ocibuild.solver.operations.sharing import Sharing
from ocibuild.solver.operations.sources import opened
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ocibuild.fs import ModeChange
    from ocibuild.graph import Copy, Vertex
    from ocibuild.layer.owners import Ownership
    from ocibuild.solver.operations.sharing import Link, Shared
    from ocibuild.solver.operations.sources import Sources
    from ocibuild.solver.workshop import Inputs, Workshop
    from ocibuild.source import Found, Selected
    from ocibuild.store import ActiveSnapshot, Snapshot

_NEW_DIRECTORY = 0o755
_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
}


def copy(
    shop: Workshop,
    inputs: Inputs,
    vertex: Copy,
    stack: Sequence[Snapshot],
    active: ActiveSnapshot,
    stack_of: Callable[[Vertex], Sequence[Snapshot]],
    shared: Shared | None = None,
) -> None:
    """Put the sources of ``vertex`` into the tree of ``stack``, the changes going into ``active``.

    ``stack_of`` gives the trees that are copied from. A directory gives what it holds, a file itself; the destination
    is a directory where it ends with a slash or is one already, and its symlinks are followed. Sources are copied one
    after the other: several files that go to one name leave the last. What is ``shared`` is linked to. Raises
    SourceError.
    """
    with nullcontext() if shared is None else Sharing(shared, shop.ownership) as sharing:
        _fill(shop, inputs, vertex, stack, active, stack_of, sharing)
        if sharing is not None:
            left = sharing.make_links(active.upper)
            if left:
                with opened(shop, inputs, vertex, vertex.sources[0], stack_of) as sources:
                    _copy_beside(sources, left, active.upper, shop.ownership)


def _fill(
    shop: Workshop,
    inputs: Inputs,
    vertex: Copy,
    stack: Sequence[Snapshot],
    active: ActiveSnapshot,
    stack_of: Callable[[Vertex], Sequence[Snapshot]],
    sharing: Sharing | None,
) -> None:
    """Put all into the tree but what ``sharing`` has noted then."""
    with shop.snapshotter.writing(stack, active) as root, explained(vertex.destination):
        owner = _owner(vertex, root)
        placer = Placer(root, shop.ownership)
        # a mode in letters changes one that is there, and these are made from nothing
        mode = vertex.mode.octal if vertex.mode else None
        destination = Destination(placer, vertex.destination, owner, _NEW_DIRECTORY if mode is None else mode)
        for source in vertex.sources:
            with opened(shop, inputs, vertex, source, stack_of) as sources:
                copier = _Copier(sources, placer, destination, owner, vertex.mode, sharing)
                copier.copy_all(unpack_archives=source.unpack)
        placer.finish()


def _copy_beside(sources: Sources, links: Iterable[Link], upper: str, ownership: Ownership) -> None:
    """Copy the files of links that could not be made, into the changes as the links would have been."""
    contents = ContentCopier()
    with Root.open(upper) as root:
        placer = Placer(root, ownership)
        for source, entry in links:
            with root.parent_of(entry.name) as (directory, _), same_times(directory):
                _copy_content(sources, placer, contents, source, entry)


def _copy_content(sources: Sources, placer: Placer, contents: ContentCopier, source: str, entry: Entry) -> None:
    reader = sources.root.open_file(source)
    try:
        status = os.fstat(reader)
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{source!r} was replaced while it was being copied", remedy="build again")
        entry.xattrs = sources.xattrs(reader)
        placer.file(entry, lambda writer: contents.copy(reader, writer, status.st_size))
    finally:
        os.close(reader)


def _owner(vertex: Copy, root: Root) -> tuple[int, int] | None:
    if vertex.owner is None:
        return None
    has_image = not (vertex.link or isinstance(vertex.base, Scratch))
    return find_owner(vertex.owner, root if has_image else None)


@dataclass(slots=True)
class _Copier:
    """One source of a COPY being copied; ``_links`` has the new name of each file that has several.

    What ``sharing`` notes is left out.
    """

    sources: Sources
    placer: Placer
    destination: Destination
    owner: tuple[int, int] | None
    mode: ModeChange | None
    sharing: Sharing | None = None
    _links: dict[tuple[int, int], str] = field(default_factory=dict)
    _contents: ContentCopier = field(default_factory=ContentCopier)

    def copy_all(self, *, unpack_archives: bool) -> None:
        """Copy everything that is selected."""
        for selected in self.sources.selected:
            self._links.clear()
            if selected.is_directory:
                self._copy_directory(selected)
            elif unpack_archives and is_archive(self.sources.root, selected.path):
                self._unpack(selected)
            else:
                target = self.destination.for_file(os.path.basename(selected.name))
                self._copy_one(selected.path, selected.status, target)

    def _copy_directory(self, selected: Selected) -> None:
        """Copy what a directory holds; the destination itself gets only its time."""
        top = self.destination.top
        self.destination.make_directory()
        real = self.placer.root.resolve(f"{top}/")
        if real != (top.lstrip("/") or "."):
            self.sharing = None  # where the symlinks led before is not known
        for found in self.sources.below(selected):
            if found.name:
                source = f"{selected.path}/{found.name}" if selected.path else found.name
                self._copy_below(source, found, f"{top}/{found.name}")
        self.placer.keep_time(real, selected.status.st_mtime_ns)

    def _copy_below(self, source: str, found: Found, name: str) -> None:
        """Copy what is in a directory; one that is only a parent gives the one that is there no more than its mode."""
        there = self.placer.there(name) if found.is_parent else None
        if there is not None and stat.S_ISDIR(there.st_mode):
            self.placer.change_mode(name, self.sources.owner(source, found.status)[2])
        elif self.sharing is None or not self._is_shared(self.sharing, source, found, name):
            self._copy_one(source, found.status, name)

    def _is_shared(self, sharing: Sharing, source: str, found: Found, name: str) -> bool:
        """Have a file linked afterwards, where its directory gets a time of its own: others show when that was."""
        if not sharing.may_have(found.name):
            return False
        if "/" in found.name and not self.placer.keeps_time(os.path.dirname(name)):
            return False
        if not sharing.note(source, found.status, self._entry(source, found.status, name)):
            return False
        self.destination.is_taken(name, directory=False)
        return True

    def _unpack(self, selected: Selected) -> None:
        """Unpack an archive: as in BuildKit its entries keep their modes, and symlinks stay below the destination."""
        root = self.placer.root
        top = f"{self.destination.top}/"
        replace(self.destination, mode=_NEW_DIRECTORY).make_directory()
        with root.open_directory(top) as inside:
            unpack(self.sources.root, selected.path, Placer(inside, self.placer.ownership), owner=self.owner)
        root.forget()

    def _copy_one(self, source: str, status: os.stat_result, name: str) -> None:
        self.destination.make_room(name, directory=stat.S_ISDIR(status.st_mode))
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
                _copy_content(self.sources, self.placer, self._contents, source, entry)
                self._links[inode] = name
            case _:
                self.placer.node(entry)

    def _entry(self, source: str, status: os.stat_result, name: str) -> Entry:
        uid, gid, mode = self.sources.owner(source, status)
        kind = _KINDS[stat.S_IFMT(status.st_mode)]
        return Entry(
            name,
            kind,
            self.mode.apply(mode, is_directory=kind is Kind.DIRECTORY) if self.mode else mode,
            *(self.owner or (uid, gid)),
            mtime_ns=status.st_mtime_ns,
            linkname=self.sources.root.readlink(source) if kind is Kind.SYMLINK else "",
            device=(os.major(status.st_rdev), os.minor(status.st_rdev)),
        )
