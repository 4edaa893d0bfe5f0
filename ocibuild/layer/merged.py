"""The tree that a stack of unpacked layers shows, looked up without mounting it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ocibuild.errors import InvalidLayer
from ocibuild.fs import status_of
from ocibuild.fs.root import MAX_LINKS
from ocibuild.layer.entry import shown
from ocibuild.layer.whiteouts import is_opaque, is_whiteout
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.fs import Root

_REMEMBERED = 10_000
"""Directories of a layer that are remembered: enough that a deep tree is not walked anew for each level of it."""


class Found(NamedTuple):
    """A file of the merged tree: the layer that shows it, and its status there."""

    root: Root
    status: os.stat_result


class Merged:
    """Layers in overlayfs form, the top-most first, seen as one tree. Names are clean and relative.

    What has been seen of directories is remembered: whoever makes one in the top-most layer calls ``made()``, whoever
    moves or removes some there ``forget()``.
    """

    def __init__(self, layers: Sequence[Root]) -> None:
        self._views = [_View(root) for root in layers]

    def below(self) -> Merged:
        """Return the tree without the top-most layer."""
        merged = Merged(())
        merged._views = self._views[1:]
        return merged

    def made(self, name: str) -> None:
        """Look anew at one new and empty directory of the top-most layer."""
        self._views[0].made(name)

    def forget(self) -> None:
        """Look anew at all directories of the top-most layer."""
        self._views[0].forget()

    def find(self, name: str) -> Found | None:
        """Return the top-most file called exactly ``name``, no symlink followed; None where the tree has none."""
        for view in self._views:
            status, is_hidden_below = view.look(name)
            if status is not None:
                return Found(view.root, status)
            if is_hidden_below:
                return None
        return None

    def is_covered(self, name: str) -> bool:
        """Say whether a parent of ``name`` is opaque in the top-most layer, so that no layer below shows there."""
        return self._views[0].look(name)[1]

    def resolve(self, name: str, *, follow_last: bool = True) -> str:
        """Return the real name that ``name`` leads to in the merged tree, which need not have it.

        Symlinks are followed, in the last component only with ``follow_last``. Raises InvalidLayer for a loop.
        """
        pending = name.split("/")[::-1]
        real: list[str] = []
        links = 0
        while pending:
            part = pending.pop()
            if part == "..":
                del real[-1:]
            elif part not in ("", "."):
                real.append(part)
                target = self._target("/".join(real)) if pending or follow_last else None
                if target is not None:
                    links += 1
                    if links > MAX_LINKS:
                        raise InvalidLayer(f"{shown(name)}: a loop of symbolic links in the layers below")
                    real = [] if target.startswith("/") else real[:-1]
                    pending += target.split("/")[::-1]
        return "/".join(real) or "."

    def _target(self, name: str) -> str | None:
        found = self.find(name)
        if found is None or not stat.S_ISLNK(found.status.st_mode):
            return None
        return found.root.readlink(name)


class _Folder(NamedTuple):
    """What one layer has at a directory's name: that directory, or something that hides it in the layers below."""

    is_here: bool
    hides: bool


class _View:
    """One layer in overlayfs form."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self._seen: dict[str, _Folder] = {}

    def made(self, name: str) -> None:
        self._seen.pop(name, None)

    def forget(self) -> None:
        self._seen.clear()
        self.root.forget()

    def look(self, name: str) -> tuple[os.stat_result | None, bool]:
        """Return the status of ``name`` in this layer, and whether the layer hides what those below have there."""
        if name == ".":
            return os.stat(self.root.fd), False
        folder = self._folder(name.rpartition("/")[0])
        status = self._status(name) if folder.is_here else None
        if status is not None and is_whiteout(status):
            return None, True
        return status, folder.hides

    def _folder(self, name: str) -> _Folder:
        """Return what is at the name of a directory, empty for the root, looking at each of its parents once."""
        missing = []
        while (folder := self._seen.get(name)) is None and name:
            missing.append(name)
            name = name.rpartition("/")[0]
        if len(self._seen) > _REMEMBERED:
            self._seen.clear()
        if folder is None:
            folder = self._seen[""] = _Folder(is_here=True, hides=is_opaque(self.root.fd))
        for below in reversed(missing):
            folder = self._seen[below] = self._folder_in(folder, below)
        return folder

    def _folder_in(self, parent: _Folder, name: str) -> _Folder:
        status = self._status(name) if parent.is_here else None
        if status is None:
            return _Folder(is_here=False, hides=parent.hides)
        if not stat.S_ISDIR(status.st_mode):
            return _Folder(is_here=False, hides=True)
        dir_fd, last = self.root.borrow_parent(name)
        return _Folder(is_here=True, hides=parent.hides or is_opaque(f"/proc/self/fd/{dir_fd}/{last}"))

    def _status(self, name: str) -> os.stat_result | None:
        """Return the status of ``name``, all of whose parents are directories of this layer."""
        dir_fd, last = self.root.borrow_parent(name)
        return status_of(dir_fd, last)
