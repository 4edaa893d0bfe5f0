"""The tree that a stack of unpacked layers shows, looked up without mounting it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from ocibuild.errors import InvalidLayer
from ocibuild.fs.root import MAX_LINKS
from ocibuild.layer.entry import shown
from ocibuild.layer.whiteouts import is_opaque, is_whiteout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.fs import Root

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Found(NamedTuple):
    """A file of the merged tree: the layer that shows it, and its status there."""

    root: Root
    status: os.stat_result


class Merged:
    """Layers in overlayfs form, the top-most first, seen as one tree. Names are clean and relative."""

    def __init__(self, layers: Sequence[Root]) -> None:
        self._layers = layers

    def find(self, name: str) -> Found | None:
        """Return the top-most file called exactly ``name``, no symlink followed; None where the tree has none."""
        for root in self._layers:
            status, is_hidden_below = _look(root, name)
            if status is not None:
                return Found(root, status)
            if is_hidden_below:
                return None
        return None

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


def is_covered(root: Root, name: str) -> bool:
    """Say whether a parent of ``name`` is opaque in this layer, so that no layer below shows anything there."""
    return _look(root, name)[1]


def _look(root: Root, name: str) -> tuple[os.stat_result | None, bool]:
    """Return the status of ``name`` in one layer, and whether the layer hides what those below have there."""
    parent, _, last = name.rpartition("/")
    is_hidden = False
    fd = os.dup(root.fd)
    try:
        for part in parent.split("/") if parent else ():
            is_hidden = is_hidden or is_opaque(fd)
            status = _status(part, fd)
            if status is None or not stat.S_ISDIR(status.st_mode):
                return None, is_hidden or status is not None
            below = os.open(part, _OPEN_DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = below
        is_hidden = is_hidden or (last != "." and is_opaque(fd))
        status = _status(last, fd)
        if status is not None and is_whiteout(status):
            return None, True
        return status, is_hidden
    finally:
        os.close(fd)


def _status(name: str, dir_fd: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
