"""Names that remove: ``.wh.NAME`` in a layer, a character device 0:0 or an attribute in an overlayfs layer.

See the image specification, layer.md, "Representing Changes", and the kernel's overlayfs.rst, "whiteouts and opaque
directories".
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TypeAlias

from ocibuild.errors import InvalidLayer
from ocibuild.layer.changes import Opaque, Removed
from ocibuild.layer.entry import shown

PREFIX = ".wh."
OPAQUE = ".wh..wh..opq"
OPAQUE_XATTR = "user.overlay.opaque"
"""Of an opaque directory, where overlayfs is mounted with ``userxattr``."""

_AUFS = (".wh..wh.aufs", ".wh..wh.orph", ".wh..wh.plnk")
"""What aufs kept for itself in the layers of early images; it was never part of the tree."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """An entry that is not part of the tree."""


Whiteout: TypeAlias = Removed | Opaque | Ignored


def parse_whiteout(name: str) -> Whiteout | None:
    """Return what the clean name of an entry removes; None for an ordinary name.

    Raises InvalidLayer for a name that the prefix reserves but that removes nothing.
    """
    if PREFIX not in name:
        return None
    parent, _, last = name.rpartition("/")
    reserved = [part for part in name.split("/") if part.startswith(PREFIX)]
    if not reserved:
        return None
    if reserved[0] in _AUFS:
        return Ignored()
    hidden = last.removeprefix(PREFIX)
    if last == OPAQUE and len(reserved) == 1:
        return Opaque(parent or ".")
    if reserved != [last] or hidden in ("", ".", "..") or hidden.startswith(PREFIX):
        raise InvalidLayer(f"{shown(name)}: names that begin with {PREFIX} are whiteouts, and this one hides nothing")
    return Removed(f"{parent}/{hidden}" if parent else hidden)


def whiteout_name(name: str) -> str:
    """Return the name of the entry that hides ``name``."""
    parent, slash, last = name.rpartition("/")
    return f"{parent}{slash}{PREFIX}{last}"


def opaque_name(name: str) -> str:
    """Return the name of the entry that hides the content of the directory ``name``."""
    return OPAQUE if name == "." else f"{name}/{OPAQUE}"


def is_whiteout(status: os.stat_result) -> bool:
    """Say whether a file of an overlayfs layer is a whiteout."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def make_whiteout(dir_fd: int, name: str) -> None:
    """Make an overlayfs whiteout; any user may, as it is no device."""
    os.mknod(name, stat.S_IFCHR, 0, dir_fd=dir_fd)


def is_opaque(directory: int | str) -> bool:
    """Say whether a directory is opaque, an open one or a path."""
    try:
        return os.getxattr(directory, OPAQUE_XATTR) == b"y"
    except OSError:
        return False


def make_opaque(dir_fd: int, name: str) -> None:
    """Make the directory ``name`` opaque."""
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        os.setxattr(fd, OPAQUE_XATTR, b"y")
    finally:
        os.close(fd)
