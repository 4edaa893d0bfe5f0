"""WORKDIR: a directory made where it is missing; and the directories and paths that COPY needs too."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocibuild.errors import SourceError
from ocibuild.graph import Scratch
from ocibuild.layer.entry import Entry, Kind
from ocibuild.solver.operations.owners import find_owner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocibuild.fs import Root
    from ocibuild.graph import MakeDirectory
    from ocibuild.layer.owners import Ownership
    from ocibuild.solver.workshop import Workshop
    from ocibuild.store import ActiveSnapshot, Snapshot


def make_directory(shop: Workshop, vertex: MakeDirectory, stack: Sequence[Snapshot], active: ActiveSnapshot) -> None:
    """Make the directory of ``vertex`` and its missing parents on ``stack``, the changes going into ``active``.

    They belong to its user. Raises SourceError where something else is in the way.
    """
    with shop.snapshotter.writing(stack, active) as root, explained(vertex.path):
        owner = find_owner(vertex.user, None if isinstance(vertex.base, Scratch) else root) if vertex.user else None
        make_directories(root, vertex.path, shop.ownership, owner=owner, time=vertex.time)


def make_directories(
    root: Root,
    path: str,
    ownership: Ownership,
    *,
    owner: tuple[int, int] | None = None,
    mode: int = 0o755,
    time: int | None = None,
) -> None:
    """Make ``path`` and its missing parents with the permission bits of ``mode``, and ``time`` in seconds since 1970.

    Without ``owner`` they are root's, but in a directory with set-group-ID they have its group and that bit, as
    mkdir(2) says. Raises NotADirectoryError.
    """
    made: list[str] = []
    root.make_directories(path, made.append)
    for name in reversed(made):
        fd = root.open_file(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            inherited = os.fstat(fd).st_mode & stat.S_ISGID
            if owner is not None:
                put_owner(fd, Entry(name, Kind.DIRECTORY, mode, *owner), ownership)
            os.fchmod(fd, mode & 0o777 | inherited)
            if time is not None:
                os.utime(fd, (time, time))
        finally:
            os.close(fd)


def put_owner(fd: int, entry: Entry, ownership: Ownership) -> None:
    """Give an open file or directory the owner of ``entry``, unless it has it."""
    there = ownership.read(fd, os.fstat(fd))
    if (there.uid, there.gid) != (entry.uid, entry.gid):
        ownership.put(fd, entry)


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Give an error of the system that ``path`` in the image causes its meaning."""
    try:
        yield
    except NotADirectoryError as error:
        found = f"/{error.filename}" if isinstance(error.filename, str) else path
        raise SourceError(f"{path}: {found} in the image is not a directory") from error
