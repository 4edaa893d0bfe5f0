"""What a tree looked like, so that what has changed in it is found with one lstat(2) an entry and no look inside files.

Of an entry the index keeps a hash of its inode, size, mtime and ctime. The kernel sets the ctime at each change of a
file's content or attributes and nobody can set it back; but it has the grain of a clock, so a change in the same tick
as the look before it would not be seen: ``Index.settle()`` waits until there can be none.
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

from ocibuild.errors import InvalidLayer
from ocibuild.fs import Cursor
from ocibuild.layer.changes import Changed, Opaque, Removed
from ocibuild.sandbox import birth_time, looker
from ocibuild.sandbox.syscalls import AT_FDCWD
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from ocibuild.layer.changes import Change

_COARSE_CLOCK = 5  # CLOCK_REALTIME_COARSE, which files get their ctime from; see clock_gettime(2)
_PAUSE = 0.0005
_SECOND = 10**9


class _Directory:
    """A directory: the signatures of its entries, those of them that are directories, and which one it is itself.

    ``links`` has more of files with several names: one of them has another ctime when another name of it goes.
    """

    __slots__ = ("directories", "entries", "identity", "links")

    def __init__(self, identity: tuple[int, int]) -> None:
        self.entries: dict[bytes, int] = {}
        self.directories: dict[bytes, _Directory] = {}
        self.links: dict[bytes, _Linked] = {}
        self.identity = identity

    def forget(self, name: bytes) -> None:
        """Drop an entry."""
        self.entries.pop(name, None)
        self.directories.pop(name, None)
        self.links.pop(name, None)


class _Linked(NamedTuple):
    """What a file is but for its ctime, and how many names it has."""

    inode: int
    size: int
    mtime_ns: int
    mode: int
    uid: int
    gid: int
    names: int

    @classmethod
    def of(cls, status: os.stat_result) -> _Linked:
        mode, inode, _, names, uid, gid, size, *_ = status
        return cls(inode, size, status.st_mtime_ns, mode, uid, gid, names)

    def has_lost_names(self, before: _Linked) -> bool:
        return self.names < before.names and self[:-1] == before[:-1]


class Index:
    """A tree as it was at the last ``update()``; of an empty one at first. Sockets are not seen."""

    def __init__(self) -> None:
        self._root = _Directory((0, 0))
        self._youngest = 0

    def update(
        self,
        tree: str,
        *,
        ignored: Collection[str] = (),
        is_as_below: Callable[[int, str], bool] = lambda _fd, _name: False,
    ) -> list[Change]:
        """Return what has changed since the last time, directories before what is in them.

        A directory is changed where anything in it is; the root itself is no change. One of another identity than the
        one before is ``Opaque``. Files that are ``ignored`` are not told of, whatever they are now. ``is_as_below`` is
        asked, with an open directory and the whole name, of a file of which nothing is different but that it has lost
        other names. Raises InvalidLayer for a character device 0:0.
        """
        with Cursor(tree) as cursor:
            comparison = _Comparison(cursor, ignored, is_as_below)
            comparison.compare(self._root)
        self._youngest = max(self._youngest, comparison.youngest)
        self.refresh(tree, cursor.lifted)
        return comparison.changes

    def refresh(self, tree: str, names: Iterable[str]) -> None:
        """Take these entries as they are now, or as gone, for unchanged."""
        look = looker()
        for name in names:
            *parents, last = os.fsencode(name).split(b"/")
            directory: _Directory | None = self._root
            for part in parents:
                directory = directory.directories.get(part) if directory else None
            if directory is None:
                continue
            path = os.path.join(tree, name)
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                directory.forget(last)
                continue
            except OSError:
                continue  # in a directory that is closed to us: the next time it is told of once too often
            directory.entries[last] = hash(look(AT_FDCWD, os.fsencode(path)))
            if stat.S_ISDIR(status.st_mode) and last not in directory.directories:
                directory.directories[last] = _Directory((status.st_ino, birth_time(AT_FDCWD, path)))
            self._youngest = max(self._youngest, status.st_ctime_ns)

    def settle(self, clock: Callable[[], int] = lambda: time.clock_gettime_ns(_COARSE_CLOCK)) -> None:
        """Return when whatever changes from now on gets another ctime than any that was seen: mostly at once.

        Where the youngest is a whole second, the file system is one that keeps seconds.
        """
        grain = 1 if self._youngest % _SECOND else _SECOND
        while 0 <= self._youngest - clock() // grain * grain < _SECOND:
            time.sleep(_PAUSE)


class _Comparison:
    """One walk through a tree, and its changes so far."""

    def __init__(self, cursor: Cursor, ignored: Collection[str], is_as_below: Callable[[int, str], bool]) -> None:
        self.changes: list[Change] = []
        self.youngest = 0
        self._look = looker()
        self._cursor = cursor
        self._ignored = ignored
        self._is_as_below = is_as_below
        # the way from the root: each directory's name, and whether it has been told of as a change
        self._names: list[str] = []
        self._told: list[bool] = []

    def compare(self, root: _Directory) -> None:
        """Compare all that is in the root, of which nothing is known beforehand."""
        pending = [self._visit(root, listed=True)]
        while pending:
            if not pending[-1]:
                pending.pop()
                if pending:
                    self._cursor.up()
                    self._names.pop()
                    self._told.pop()
                continue
            name, directory, is_changed = pending[-1].pop()
            self._names.append(os.fsdecode(name))
            self._cursor.down(self._names[-1])
            self._told.append(is_changed)
            pending.append(self._visit(directory, listed=is_changed))

    def _visit(self, directory: _Directory, *, listed: bool) -> list[tuple[bytes, _Directory, bool]]:
        """Compare the entries of one directory; return those to go into, in reverse, and which of them are changed.

        Unless it is ``listed`` its own mtime says that it has the same names as before.
        """
        fd, entries = self._cursor.fd, directory.entries
        names: Iterable[bytes] = entries
        if listed:
            found = [os.fsencode(name) for name in os.listdir(fd)]
            for name in entries.keys() - set(found):
                self._forget(directory, name)
            names = found
        look, known = self._look, entries.get
        changed = sorted(name for name in names if hash(look(fd, name)) != known(name))
        for name in changed:
            self._note(directory, name)
        different = set(changed)
        return [(name, below, name in different) for name, below in reversed(directory.directories.items())]

    def _note(self, directory: _Directory, name: bytes) -> None:
        """Note one entry that is new or different."""
        status = os.stat(name, dir_fd=self._cursor.fd, follow_symlinks=False)
        self.youngest = max(self.youngest, status.st_ctime_ns)
        if stat.S_ISSOCK(status.st_mode):
            if name in directory.entries:
                self._forget(directory, name)
            return
        full = self._full(name)
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            raise InvalidLayer(f"{full!r}: a character device 0:0 would be taken for a whiteout")
        directory.entries[name] = hash(self._look(self._cursor.fd, name))
        if full in self._ignored and stat.S_ISREG(status.st_mode):
            return
        if stat.S_ISREG(status.st_mode) and self._has_lost_names(directory, name, status):
            return
        before = directory.directories.get(name)
        if not stat.S_ISDIR(status.st_mode):
            directory.directories.pop(name, None)
            self._tell(Changed(full))
            return
        self._tell(Changed(full))
        identity = (status.st_ino, birth_time(self._cursor.fd, os.fsdecode(name)))
        if before is None or before.identity != identity:
            directory.directories[name] = _Directory(identity)
            if before is not None:
                self._tell(Opaque(full))

    def _has_lost_names(self, directory: _Directory, name: bytes, status: os.stat_result) -> bool:
        """Say whether a file is different in nothing but the names that it has elsewhere."""
        before = directory.links.pop(name, None)
        if before is None and status.st_nlink == 1:
            return False
        now = _Linked.of(status)
        if now.names > 1:
            directory.links[name] = now
        is_less = before is not None and now.has_lost_names(before)
        return is_less and self._is_as_below(self._cursor.fd, self._full(name))

    def _forget(self, directory: _Directory, name: bytes) -> None:
        """Note one entry that is gone."""
        directory.forget(name)
        if (full := self._full(name)) not in self._ignored:
            self._tell(Removed(full))

    def _tell(self, change: Change) -> None:
        """Add a change, after the directories that it is in."""
        for depth, told in enumerate(self._told, 1):
            if not told:
                self.changes.append(Changed("/".join(self._names[:depth])))
                self._told[depth - 1] = True
        self.changes.append(change)

    def _full(self, name: bytes) -> str:
        return "/".join([*self._names, os.fsdecode(name)])
