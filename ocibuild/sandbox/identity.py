"""Who this process may be: entering the namespaces in which an ordinary user is root."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, NoReturn

from ocibuild.errors import SandboxError
from ocibuild.sandbox import syscalls
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class IDs(Enum):
    """Which user and group IDs files and processes can have."""

    ALL = "all: root on this machine"
    RANGE = "0 and a range of subordinate IDs"
    ONE = "0 alone: there is no range of subordinate IDs"


@dataclass(frozen=True, slots=True)
class IDRange:
    """``count`` IDs that start at ``inside`` in the namespace and at ``outside`` on the machine."""

    inside: int
    outside: int
    count: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this process is after ``enter()``; ``limit`` is the number of IDs, from 0 on.

    ``complaint`` is what newuidmap or newgidmap said, where there is one ID because they did not map the range.
    """

    ids: IDs
    limit: int
    complaint: str = ""


def enter() -> Identity:
    """Move this process into a mount namespace of its own and, where it is not root, a user namespace as its root.

    To be called once, while there is one thread. Raises SandboxError where the kernel refuses.
    """
    identity = _enter_as_root() or _enter_user_namespace()
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    return identity


def stay() -> Identity:
    """Return who this process is in the namespaces that it is in; to be called while there is one thread.

    It has all IDs where it may change its own and its root, found out by doing so in a child.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.chroot("/")
            os.setgroups([])
            os.setresgid(1, 1, 1)
            os.setresuid(1, 1, 1)
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        return Identity(IDs.ONE, limit=1)
    return Identity(IDs.ALL, limit=_count(_own_map("/proc/self/uid_map")))


def _enter_as_root() -> Identity | None:
    if os.geteuid() != 0:
        return None
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
    except PermissionError:
        return None  # root without CAP_SYS_ADMIN may still be allowed a user namespace
    return Identity(IDs.ALL, limit=_count(_own_map("/proc/self/uid_map")))


def _enter_user_namespace() -> Identity:
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        users, groups = _own_map("/proc/self/uid_map"), _own_map("/proc/self/gid_map")
        if _unshare_and_map(lambda pid: _write_maps(pid, users, groups)) is None:
            return Identity(IDs.RANGE, limit=min(_count(users), _count(groups)))
        return _map_one(uid, gid)
    users = id_map(uid, subordinate_ranges("/etc/subuid", _names_of(uid)))
    groups = id_map(gid, subordinate_ranges("/etc/subgid", _names_of(uid)))
    helpers = _find("newuidmap"), _find("newgidmap")
    if len(users) > 1 and len(groups) > 1 and helpers[0] and helpers[1]:
        commands = [[helpers[0], *_words(users)], [helpers[1], *_words(groups)]]
        complaint = _unshare_and_map(lambda pid: _run_helpers(pid, commands))
        if complaint is None:
            return Identity(IDs.RANGE, limit=min(_count(users), _count(groups)))
        return _map_one(uid, gid, complaint)
    _unshare_user_namespace()
    return _map_one(uid, gid)


def _find(program: str) -> str | None:
    """Return where a program is; shutil's search would bring in compressors that nobody needs here."""
    paths = (os.path.join(folder, program) for folder in os.get_exec_path())
    return next((path for path in paths if os.access(path, os.X_OK)), None)


def _map_one(uid: int, gid: int, complaint: str = "") -> Identity:
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"0 {uid} 1")
    _write("/proc/self/gid_map", f"0 {gid} 1")
    return Identity(IDs.ONE, limit=1, complaint=complaint)


def id_map(own: int, ranges: Iterable[IDRange]) -> tuple[IDRange, ...]:
    """Return the map that makes ``own`` 0, and the subordinate ranges 1 and up, in their order."""
    rows = [IDRange(0, own, 1)]
    for row in ranges:
        rows.append(IDRange(rows[-1].inside + rows[-1].count, row.outside, row.count))
    return tuple(rows)


def subordinate_ranges(path: str, names: Sequence[str]) -> tuple[IDRange, ...]:
    """Return the ranges of a user, known under ``names``, in a file such as subuid(5) describes."""
    ranges = []
    with suppress(FileNotFoundError), open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            fields = line.strip().split(":")
            if len(fields) == 3 and fields[0] in names and fields[1].isdecimal() and fields[2].isdecimal():
                ranges.append(IDRange(0, int(fields[1]), int(fields[2])))
    return tuple(row for row in ranges if row.count)


def _names_of(uid: int) -> tuple[str, ...]:
    try:
        return (str(uid), pwd.getpwuid(uid).pw_name)
    except KeyError:
        return (str(uid),)


def _unshare_user_namespace() -> None:
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
    except OSError as error:
        raise SandboxError(
            f"this machine refuses a user namespace: {error.strerror}",
            remedy="`ocibuild doctor` tells what to change",
        ) from error


def _unshare_and_map(write_maps: Callable[[int], str]) -> str | None:
    """Unshare, and have the maps written from outside, by a child that is forked before; return its complaint."""
    ready, go = os.pipe2(os.O_CLOEXEC)
    complaints, complain = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(go)
        _map_when_told(ready, complain, lambda: write_maps(parent))
    os.close(ready)
    os.close(complain)
    try:
        _unshare_user_namespace()
        os.write(go, b"1")
    finally:
        os.close(go)
        with open(complaints, encoding="utf-8", errors="replace") as file:
            text = " ".join(file.read().split())
        _, status = os.waitpid(child, 0)
    return text or "no reason given" if status else None


def _map_when_told(ready: int, complain: int, write_maps: Callable[[], str]) -> NoReturn:
    """Write the maps once a byte arrives, and say what is wrong with that."""
    complaint = "the child that maps IDs failed"
    try:
        complaint = write_maps() if os.read(ready, 1) else ""
    except OSError as error:
        complaint = str(error)
    finally:
        os.write(complain, complaint.encode("utf-8", "replace"))
        os._exit(1 if complaint else 0)


def map_all(pid: int) -> None:
    """Give the user namespace of ``pid``, a child of ours, every ID that we have as it is."""
    _write_maps(pid, _own_map("/proc/self/uid_map"), _own_map("/proc/self/gid_map"))


def _write_maps(pid: int, users: Sequence[IDRange], groups: Sequence[IDRange]) -> str:
    """Give the user namespace of ``pid`` every ID of ours as it is: for root that may set IDs, if nothing else."""
    for name, rows in (("uid_map", users), ("gid_map", groups)):
        lines = [f"{row.inside} {row.inside} {row.count}\n" for row in rows]
        with open(f"/proc/{pid}/{name}", "w", encoding="ascii") as file:
            file.write("".join(lines))
    return ""


def _run_helpers(pid: int, commands: Sequence[Sequence[str]]) -> str:
    """Run newuidmap and newgidmap, the first failure being the end; return what they complain of."""
    for program, *words in commands:
        said, say = os.pipe2(os.O_CLOEXEC)
        actions = [(os.POSIX_SPAWN_DUP2, say, 1), (os.POSIX_SPAWN_DUP2, say, 2)]
        helper = os.posix_spawn(program, [program, str(pid), *words], {}, file_actions=actions)
        os.close(say)
        with open(said, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if os.waitpid(helper, 0)[1]:
            return text or f"{program} failed"  # what no helper has mapped can still be mapped as one ID
    return ""


def _words(rows: Iterable[IDRange]) -> list[str]:
    return [str(number) for row in rows for number in (row.inside, row.outside, row.count)]


def _count(rows: Iterable[IDRange]) -> int:
    return max(row.inside + row.count for row in rows)


def _own_map(path: str) -> tuple[IDRange, ...]:
    with open(path, encoding="ascii") as file:
        return tuple(IDRange(*map(int, line.split())) for line in file)


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        raise SandboxError(
            f"this machine refuses to map an ID in a user namespace: {path}: {error.strerror}",
            remedy="`ocibuild doctor` tells what to change",
        ) from error
