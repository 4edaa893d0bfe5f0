"""WORKDIR: a directory made where it is missing; and owners by name, which COPY needs too."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ocibuild.layer import Entry, Kind
from ocibuild.sandbox import find_user

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.fs import Root
    from ocibuild.graph import MakeDirectory
    from ocibuild.layer import Ownership
    from ocibuild.solver.workshop import Workshop
    from ocibuild.store import ActiveSnapshot, Snapshot

_ACCOUNT_FILE_LIMIT = 4 << 20


def make_directory(shop: Workshop, vertex: MakeDirectory, stack: Sequence[Snapshot], active: ActiveSnapshot) -> None:
    """Make the directory of ``vertex`` and its missing parents on ``stack``, the changes going into ``active``."""
    with shop.snapshotter.writing(stack, active) as root:
        owner = find_owner(vertex.user, root)
        make_directories(root, vertex.path, owner, shop.ownership)


def make_directories(root: Root, path: str, owner: tuple[int, int], ownership: Ownership) -> None:
    """Make ``path`` and its missing parents, with mode 0755 and this owner."""
    made: list[str] = []
    root.make_directories(path, made.append)
    for name in made:
        fd = root.open_file(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if not ownership.is_given_by_creation(*owner):
                ownership.put(fd, Entry(name, Kind.DIRECTORY, 0o755, *owner))
            os.fchmod(fd, 0o755)
        finally:
            os.close(fd)


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
