"""WORKDIR: a directory made where it is missing; and the directories, paths and owners that COPY needs too."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ocibuild.errors import SandboxError, SourceError
from ocibuild.layer import Entry, Kind
from ocibuild.sandbox import find_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocibuild.fs import Root
    from ocibuild.graph import MakeDirectory
    from ocibuild.layer import Ownership
    from ocibuild.solver.workshop import Workshop
    from ocibuild.store import ActiveSnapshot, Snapshot

_ACCOUNT_FILE_LIMIT = 4 << 20


def make_directory(shop: Workshop, vertex: MakeDirectory, stack: Sequence[Snapshot], active: ActiveSnapshot) -> None:
    """Make the directory of ``vertex`` and its missing parents on ``stack``, the changes going into ``active``.

    They belong to its user; as with docker, to root where the image does not know that user (yet). Raises SourceError
    where something else is in the way.
    """
    with shop.snapshotter.writing(stack, active) as root, explained(vertex.path):
        owner = None
        with suppress(SandboxError):
            owner = find_owner(vertex.user, root) if vertex.user else None
        make_directories(root, vertex.path, shop.ownership, owner=owner)


def make_directories(
    root: Root, path: str, ownership: Ownership, *, owner: tuple[int, int] | None = None, mode: int = 0o755
) -> None:
    """Make ``path`` and its missing parents with the permission bits of ``mode``.

    Without ``owner`` they are root's, but in a directory with set-group-ID they have its group and that bit, as
    mkdir(2) says. Raises NotADirectoryError.
    """
    made: list[str] = []
    root.make_directories(path, made.append)
    for name in made:
        fd = root.open_file(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            inherited = os.fstat(fd).st_mode & stat.S_ISGID
            if owner is not None:
                put_owner(fd, Entry(name, Kind.DIRECTORY, mode, *owner), ownership)
            os.fchmod(fd, mode & 0o777 | inherited)
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


def find_owner(text: str, root: Root) -> tuple[int, int]:
    """Return the IDs of ``USER[:GROUP]``, looked up in the passwd and group files of ``root``; empty is root.

    A number alone stands for the group too, and a name alone for the user's own group (the reference of COPY --chown).
    Raises SandboxError for a name that is not there.
    """
    user = find_user(text, _account_file(root, "etc/passwd"), _account_file(root, "etc/group"))
    same = text.isascii() and text.isdecimal()
    return user.uid, user.uid if same else user.gid


def _account_file(root: Root, name: str) -> str:
    try:
        fd = root.open_file(root.resolve(name))
    except OSError:
        return ""  # an image need not have one
    with open(fd, "rb") as file:
        return file.read(_ACCOUNT_FILE_LIMIT).decode("utf-8", "surrogateescape")
