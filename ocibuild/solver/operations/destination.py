"""Where in a tree a COPY or ADD puts its files, and the directories made on the way there."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ocibuild.errors import SourceError, UnsafePath
from ocibuild.fs.root import MAX_LINKS
from ocibuild.solver.operations.directory import make_directories
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from ocibuild.solver.operations.placing import Placer


@dataclass(frozen=True, slots=True)
class Destination:
    """``path`` in the tree of ``placer``, absolute, with a slash at its end where it must be a directory.

    Missing directories get ``owner``, if that is not None, and ``mode``.
    """

    placer: Placer
    path: str
    owner: tuple[int, int] | None
    mode: int

    @property
    def top(self) -> str:
        """The path without a slash at its end: empty for the root."""
        return self.path.rstrip("/")

    def for_file(self, name: str) -> str:
        """Return where a file called ``name`` goes, the directories on the way made.

        That is into the directory that is there or must be, else the path itself, its symlinks followed.
        """
        into = self.path.endswith("/")
        target = self.path if into else self._followed()
        if into or self._is_directory(target):
            target = f"{target.rstrip('/')}/{name}"
        self._make_parents(target)
        return target

    def make_directory(self) -> None:
        """Make the path itself a directory, where it is none."""
        self._make_parents(f"{self.top}/")

    def make_room(self, name: str, *, directory: bool) -> None:
        """Remove what a file replaces at ``name``; neither a file nor a directory takes the place of the other."""
        if self.is_taken(name, directory=directory) and not directory:
            self.placer.root.remove(name)

    def is_taken(self, name: str, *, directory: bool) -> bool:
        """Tell whether something is at ``name`` that a file, or a directory, can take the place of."""
        there = self.placer.there(name)
        if there is None:
            return False
        if stat.S_ISDIR(there.st_mode) != directory:
            kinds = ("a directory", "something that is no directory")
            copied, found = kinds if directory else kinds[::-1]
            raise SourceError(f"{name} in the image is {found}, and {copied} cannot replace it")
        return True

    def _followed(self) -> str:
        """Return where the symlinks at the path lead, the directories on the way made."""
        target = self.path
        for _ in range(MAX_LINKS):
            self._make_parents(target)
            there = self.placer.there(target)
            if there is None or not stat.S_ISLNK(there.st_mode):
                return target
            link = self.placer.root.readlink(target)
            target = link if link.startswith("/") else f"{os.path.dirname(target)}/{link}"
        raise UnsafePath(f"{self.path}: more than {MAX_LINKS} symbolic links, or a loop of them")

    def _is_directory(self, target: str) -> bool:
        there = self.placer.there(target)
        return there is not None and stat.S_ISDIR(there.st_mode)

    def _make_parents(self, name: str) -> None:
        directory = os.path.dirname(name)
        make_directories(self.placer.root, directory, self.placer.ownership, owner=self.owner, mode=self.mode)
