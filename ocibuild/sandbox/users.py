"""Users and groups of an image, by name or number, from its own passwd and group files (passwd(5), group(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import SandboxError
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIGITS = 20
_HIGHEST_ID = 2**31 - 1  # the kernel would take more: docker does not


class User(NamedTuple):
    """The IDs that a process or a file gets; ``groups`` are the supplementary ones, ``home`` may be empty."""

    uid: int
    gid: int
    groups: list[int]
    home: str


def find_user(text: str, passwd: str, group: str) -> User:
    """Return the user that ``text`` names: USER, USER:GROUP, each a name or a number; empty is root.

    ``passwd`` and ``group`` are the contents of the image's files. A number needs no entry there, and never means a
    name; a name needs one, else SandboxError. A user without an entry has the group 0 and no home, as with docker.
    ``groups`` always begins with the user's own; with an explicit group there are no others.
    """
    name, _, group_name = text.partition(":")
    user = _user(name or "0", passwd, group)
    gid, others = (_group(group_name, group), []) if group_name else (user.gid, user.groups)
    return user._replace(gid=gid, groups=list(dict.fromkeys([gid, *others])))


def _user(name: str, passwd: str, group: str) -> User:
    wanted = _number(name)
    for fields in _entries(passwd, 7):
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is not None and gid is not None and (fields[0] == name if wanted is None else uid == wanted):
            return User(uid, gid, _memberships(fields[0], group), fields[5])
    if wanted is None:
        raise _unknown("user", name, "/etc/passwd")
    return User(wanted, 0, [], "")


def _group(name: str, group: str) -> int:
    wanted = _number(name)
    if wanted is not None:
        return wanted
    for fields in _entries(group, 4):
        gid = _number(fields[2])
        if gid is not None and fields[0] == name:
            return gid
    raise _unknown("group", name, "/etc/group")


def _unknown(kind: str, name: str, file: str) -> SandboxError:
    if name.isdecimal():
        return SandboxError(f"{kind} {name!r}: IDs go from 0 to {_HIGHEST_ID}")
    return SandboxError(f"{kind} {name!r}: not in the image's {file}", remedy="create it in an earlier step")


def _memberships(user: str, group: str) -> list[int]:
    numbers = (_number(fields[2]) for fields in _entries(group, 4) if user in fields[3].split(","))
    return [number for number in numbers if number is not None]


def _entries(text: str, size: int) -> Iterator[list[str]]:
    for line in text.split("\n"):
        fields = line.strip().split(":")
        if len(fields) >= size and not line.startswith("#"):
            yield fields


def _number(text: str) -> int | None:
    digits = text.removeprefix("+")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > _DIGITS:
        return None
    number = int(digits)
    return number if number <= _HIGHEST_ID else None
