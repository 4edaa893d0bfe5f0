"""The changes of a step, read off overlayfs: its upper directory holds them and nothing else."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ocibuild.layer import Changed, Opaque, Removed, is_opaque, is_whiteout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.fs import Root
    from ocibuild.layer import Change


def changes(upper: Root, lower: Callable[[], Root]) -> Iterator[Change]:
    """Yield what ``upper`` changes, parents before what is in them, in the order of the names' bytes.

    A whiteout gives ``Removed``, an opaque directory that hides anything of ``lower`` (a view of all below, only
    opened where one is met) gives ``Opaque`` after its own ``Changed``. The root directory itself is not a change.
    """
    for name, status in upper.walk():
        if is_whiteout(status):
            yield Removed(name)
            continue
        yield Changed(name)
        if stat.S_ISDIR(status.st_mode) and _is_opaque(upper, name) and _is_directory(lower(), name):
            yield Opaque(name)


def _is_opaque(upper: Root, name: str) -> bool:
    fd = upper.open_file(name, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return is_opaque(fd)
    finally:
        os.close(fd)


def _is_directory(root: Root, name: str) -> bool:
    try:
        return stat.S_ISDIR(root.lstat(name).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
