"""Whose a file is that COPY, ADD or WORKDIR makes: ``USER[:GROUP]`` by the rules of BuildKit, which fails for nothing.

A number is its own, a name is looked up in the image, and one that is not found there is root: so that a Dockerfile
builds here that builds there. It is not how USER finds the user that a step runs as.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ocibuild.errors import SourceError
from ocibuild.sandbox import read_accounts

if TYPE_CHECKING:
    from ocibuild.fs import Root

_NUMBER = re.compile(r"\+?[0-9]{1,20}")
_HIGHEST = 2**31 - 1


def find_owner(text: str, root: Root | None) -> tuple[int, int]:
    """Return the IDs of ``USER[:GROUP]``, its names looked up in the passwd and group files of ``root``.

    Without a group it is the user's own, and the number of a user that is a number. An unknown user is root, an unknown
    group changes nothing. Raises SourceError for a name where there is no image to look it up in: ``root`` is None.
    """
    name, colon, group = text.partition(":")
    user = _number(name)
    uid, gid = (user, user) if user is not None else _user(_entries(root, "etc/passwd", name))
    if not colon:
        return uid, gid
    number = _number(group)
    if number is not None:
        return uid, number
    return uid, next((_id(fields, 2) for fields in _entries(root, "etc/group", group)), gid)


def is_looked_up(text: str) -> bool:
    """Tell whether a name in ``USER[:GROUP]`` has to be looked up in the image."""
    return any(_number(part) is None for part in text.split(":", 1))


def _user(entries: list[list[str]]) -> tuple[int, int]:
    return (_id(entries[0], 2), _id(entries[0], 3)) if entries else (0, 0)


def _number(text: str) -> int | None:
    """Return what is no name: nothing and ``root`` are 0."""
    if text in ("", "root"):
        return 0
    return int(text) if _NUMBER.fullmatch(text) and int(text) <= _HIGHEST else None


def _id(fields: list[str], place: int) -> int:
    """Return the number in a line of passwd or group; 0 where there is none that counts, as in docker."""
    text = fields[place] if place < len(fields) else ""
    return int(text) if _NUMBER.fullmatch(text) and int(text) <= _HIGHEST else 0


def _entries(root: Root | None, file: str, name: str) -> list[list[str]]:
    """Return the fields of the lines for ``name``."""
    if root is None:
        raise SourceError(
            f"the owner {name!r} is a name, and there is no image to look it up in",
            remedy="give numbers, or leave out --link",
        )
    accounts = read_accounts(file, lambda path: root.open_file(root.resolve(path)))
    lines = (line.strip().split(":") for line in accounts.split("\n"))
    return [fields for fields in lines if fields[0] == name]
