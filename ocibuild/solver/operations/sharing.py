"""Unchanged files of a build context, which a COPY takes from the snapshot of one of before by hard link.

A committed snapshot never changes, and overlayfs copies a file up before anybody writes to it, so one inode may be in
several snapshots. What a COPY writes into may be a mount, and no link leads into that from elsewhere: links are noted
while the tree is filled, and made in the directory of its changes after that.
"""

from __future__ import annotations

import os
import stat
from itertools import groupby
from typing import TYPE_CHECKING

from ocibuild.fs import Root, same_times, status_of
from ocibuild.layer.entry import Kind
from ocibuild.values import NamedTuple, dataclass

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from typing import Self

    from ocibuild.layer.entry import Entry
    from ocibuild.layer.owners import Ownership
    from ocibuild.store import Snapshot


@dataclass(frozen=True, slots=True)
class Shared:
    """What a COPY of one directory may share: ``snapshot`` is the result of one of before to the same destination.

    ``unchanged`` names, relative to the directory, what had the same type, mode and bytes then.
    """

    snapshot: Snapshot
    unchanged: Collection[str]


class Link(NamedTuple):
    """A file to be shared: ``source`` in the context, and what it is in the tree."""

    source: str
    entry: Entry


class Sharing:
    """The files that one COPY shares; close it."""

    def __init__(self, shared: Shared, ownership: Ownership) -> None:
        self._unchanged = shared.unchanged
        self._ownership = ownership
        self._earlier = Root.open(shared.snapshot.path)
        self._links: list[Link] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._earlier.close()

    def may_have(self, name: str) -> bool:
        """Tell whether ``name``, relative to the directory that is copied, is unchanged."""
        return name in self._unchanged

    def note(self, source: str, status: os.stat_result, entry: Entry) -> bool:
        """Note a link, and tell whether there will be one: for a file with one name that is in the snapshot as it is.

        ``status`` is that of ``source``, whose bytes are unchanged; no symlink leads to ``entry.name``.
        """
        if entry.kind is not Kind.FILE or status.st_nlink > 1 or not self._is_in_snapshot(status, entry):
            return False
        self._links.append(Link(source, entry))
        return True

    def make_links(self, upper: str) -> list[Link]:
        """Make what was noted, in the directory of the changes, and return what could not be made.

        The times of directories, which are there, stay as they are.
        """
        with Root.open(upper) as changes:
            groups = groupby(self._links, key=lambda link: os.path.dirname(link.entry.name))
            return [link for _, links in groups for link in self._make_in_one(changes, list(links))]

    def _is_in_snapshot(self, status: os.stat_result, entry: Entry) -> bool:
        try:
            fd, last = self._earlier.borrow_parent(entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return False
        there = status_of(fd, last)
        if there is None or not stat.S_ISREG(there.st_mode):
            return False
        if (there.st_size, there.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
            return False
        if self._earlier.lent != os.path.dirname(entry.name).strip("/"):  # a symlink there leads elsewhere
            return False
        nature = self._ownership.read(f"/proc/self/fd/{fd}/{last}", there)
        wanted = (entry.kind, entry.mode, entry.uid, entry.gid)
        return (nature.kind, nature.mode, nature.uid, nature.gid) == wanted

    def _make_in_one(self, changes: Root, links: list[Link]) -> Iterable[Link]:
        """Make links in one directory."""
        name = links[0].entry.name
        try:
            with (
                self._earlier.parent_of(name) as (source, _),
                changes.parent_of(name) as (target, _),
                same_times(target),
            ):
                return [link for link in links if not _is_made(source, target, os.path.basename(link.entry.name))]
        except (FileNotFoundError, NotADirectoryError):
            return links


def _is_made(source: int, target: int, name: str) -> bool:
    """Make a link from one directory to the other, where that can be done.

    A file may have too many, see link(2), or be one that only its owner may link to, see proc_sys_fs(5).
    """
    try:
        os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except OSError:
        return False
    return True
