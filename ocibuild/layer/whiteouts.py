"""Names that remove: ``.wh.NAME`` in a layer, a character device 0:0 or an attribute in an unpacked one.

See the image specification, layer.md, "Representing Changes", and the kernel's overlayfs.rst, "whiteouts and opaque
directories". Unpacked layers have a second form of both, for file systems that refuse the first, as overlayfs refuses
such devices and ramfs attributes: a socket without any permission, which no layer can hold. One called ``.wh..wh..opq``
makes the directory that it is in opaque.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TypeAlias

from ocibuild.errors import InvalidLayer
from ocibuild.layer.changes import Opaque, Removed
from ocibuild.layer.entry import shown
from ocibuild.values import dataclass

PREFIX = ".wh."
OPAQUE = ".wh..wh..opq"
OPAQUE_XATTR = "user.overlay.opaque"
"""Of an opaque directory, where overlayfs is mounted with ``userxattr``."""

_REFUSED = (errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)
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
    """Say whether a file of an unpacked layer is a whiteout, in either form."""
    mode = status.st_mode
    return mode == stat.S_IFSOCK or (stat.S_ISCHR(mode) and status.st_rdev == 0)


def make_whiteout(dir_fd: int, name: str) -> None:
    """Make a whiteout; any user may, as it is no device."""
    try:
        os.mknod(name, stat.S_IFCHR, 0, dir_fd=dir_fd)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        os.mknod(name, stat.S_IFSOCK, dir_fd=dir_fd)


def is_opaque(directory: int | str) -> bool:
    """Say whether a directory is opaque, an open one or a path."""
    try:
        return os.getxattr(directory, OPAQUE_XATTR) == b"y"
    except OSError as error:
        return error.errno in _REFUSED and _has_mark(directory)


def make_opaque(dir_fd: int, name: str) -> None:
    """Make the directory ``name`` opaque; safe to repeat."""
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        os.setxattr(fd, OPAQUE_XATTR, b"y")
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        if not _has_mark(fd):
            os.mknod(OPAQUE, stat.S_IFSOCK, dir_fd=fd)
    finally:
        os.close(fd)


def _has_mark(directory: int | str) -> bool:
    try:
        if isinstance(directory, int):
            mark = os.stat(OPAQUE, dir_fd=directory, follow_symlinks=False)
        else:
            mark = os.lstat(f"{directory}/{OPAQUE}")
    except OSError:
        return False
    return is_whiteout(mark)


def is_mark(name: str) -> bool:
    """Say whether a whiteout of this name is the mark of the opaque directory that it is in."""
    return name.rpartition("/")[2] == OPAQUE
