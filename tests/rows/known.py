"""Where a row gives another tree than root's, and where root's is another than BuildKit's; and why."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from tests.rows.laboratory import BUILD
from tests.rows.row import BARE, ONE_ID, ONE_ID_COPY, PROOT, PROOT_ROOT, RANGE, RANGE_COPY, ROOT_COPY

if TYPE_CHECKING:
    from collections.abc import Mapping

BUILDKIT = "BuildKit"


class Known(NamedTuple):
    """A difference: in which rows, in which case, at which names (patterns, each of which must be met), and why."""

    rows: tuple[str, ...]
    case: str
    names: tuple[str, ...]
    why: str


_COPYING = tuple(row.name for row in (ROOT_COPY, RANGE_COPY, ONE_ID_COPY, BARE, PROOT_ROOT, PROOT))
_WITHOUT_PROC = "mknod -m and mkfifo -m go through /proc, which a bare chroot does not have"
_WITH_RANGE = (RANGE.name, RANGE_COPY.name)

KNOWN = (
    Known(_WITH_RANGE, "devices", (BUILD,), "in a user namespace the kernel makes no device node"),
    Known(
        _WITH_RANGE,
        "chown-tree",
        ("refused", "tree/group.conf"),
        "an owner that is not in the range of 65536 IDs: the kernel refuses it",
    ),
    Known(
        (RANGE.name, ONE_ID.name),
        "install",
        ("srv/copied/again", "srv/copied/list", "piped/copied/again", "piped/copied/list"),
        "overlayfs in a user namespace gives two inode numbers to a file of a layer below that has a name more: "
        "cp -a makes two files of it",
    ),
    Known(
        (ONE_ID.name, ONE_ID_COPY.name, PROOT_ROOT.name, PROOT.name),
        "mounts",
        ("out/secrets",),
        "a secret belongs to the one ID that there is, so a step sees it as root's",
    ),
    Known((BARE.name,), "devices", (BUILD,), _WITHOUT_PROC),
    Known((BARE.name,), "fifos", (BUILD,), _WITHOUT_PROC),
    Known((BARE.name,), "install", (BUILD,), _WITHOUT_PROC),
    Known(
        (PROOT_ROOT.name, PROOT.name),
        "setuid",
        ("as-whom", "tmp/euid"),
        "under proot a set-id program that another user runs changes no identity",
    ),
    Known(
        (PROOT_ROOT.name, PROOT.name), "rpm", (BUILD,), "rpmbuild ends with a segmentation fault; why was not found out"
    ),
    Known(
        _COPYING,
        "hard-links",
        ("a/first", "b/moved", "a/kept", "b/kept", "b/more", "a/pair", "b/pair", "first", "second", "third", "fourth"),
        "without overlayfs the names of a file of a layer below stay those of one file when a step changes it",
    ),
    Known(
        (BUILDKIT,),
        "devices",
        ("devices/disk", "devices/linked"),
        "BuildKit's layers make two nodes of a device with two names",
    ),
    Known(
        (BUILDKIT,),
        "hard-links",
        ("a/kept", "b/kept", "b/more"),
        "a file of a layer below that is given a further name: BuildKit's layer has that name alone, as another file",
    ),
    Known((BUILDKIT,), "install", ("srv/games/again", "srv/games/list"), "as in hard-links"),
)


def complaints(row: str, case: str, found: Mapping[str, str]) -> list[str]:
    """Return what is wrong about the differences that a row has: those not known, and those known and not found."""
    known = [each for each in KNOWN if row in each.rows and each.case == case]
    patterns = [pattern for each in known for pattern in each.names]
    new = [name for name in found if not any(fnmatchcase(name, pattern) for pattern in patterns)]
    return [f"{name}\n{found[name]}" for name in new] + [
        f"{pattern}: it is the same now: take it out of known.py ({each.why})"
        for each in known
        for pattern in each.names
        if not any(fnmatchcase(name, pattern) for name in found)
    ]
