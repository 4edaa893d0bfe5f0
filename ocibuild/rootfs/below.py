"""What lies below a step, looked up in its snapshots, and whether a file is still what it was there."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Self

from ocibuild.fs import Root, have_same_bytes, open_readable
from ocibuild.layer.merged import Merged
from ocibuild.layer.xattrs import LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocibuild.store import Snapshot


class Below:
    """The tree of a stack, the oldest first, opened when it is first asked for; close it."""

    def __init__(self, stack: Sequence[Snapshot]) -> None:
        self._stack = stack
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def has(self, dir_fd: int, name: str) -> bool:
        """Say whether the regular file ``name``, in the open directory, has the same bytes and attributes here."""
        found = self.merged.find(name)
        if found is None or not stat.S_ISREG(found.status.st_mode):
            return False
        with ExitStack() as cleanup:
            source, last = found.root.borrow_parent(name)
            files = []
            for fd, opened in ((source, last), (dir_fd, os.path.basename(name))):
                files.append(open_readable(opened, fd))
                cleanup.callback(os.close, files[-1])
            return _are_alike(*files)

    @cached_property
    def merged(self) -> Merged:
        """The tree."""
        roots = [self._cleanup.enter_context(Root.open(one.path)) for one in reversed(self._stack)]
        return Merged(roots)


def _are_alike(one: int, other: int) -> bool:
    return _attributes(one) == _attributes(other) and have_same_bytes(one, other)


def _attributes(fd: int) -> tuple[int, int, int, int, dict[str, bytes]]:
    status = os.fstat(fd)
    return status.st_size, status.st_mode, status.st_uid, status.st_gid, dict(_xattrs(fd))


def _xattrs(fd: int) -> Iterator[tuple[str, bytes]]:
    with suppress(OSError):  # of a file system that has none
        for key in os.listxattr(fd):
            if key != LABEL:  # it says where the file is
                yield key, os.getxattr(fd, key)
