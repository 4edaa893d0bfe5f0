"""Extended attributes of files: which of them a layer carries, and how they are put and read."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ocibuild.errors import InvalidLayer
from ocibuild.layer.entry import shown
from ocibuild.owner_records import CAPABILITY, OVERRIDE_STAT, RECORDED_CAPABILITY

if TYPE_CHECKING:
    from collections.abc import Mapping

OVERLAY = ("user.overlay.", "trusted.overlay.")
"""What begins so says how layers are stacked."""
LABEL = "security.selinux"
"""It means something to one machine's policy only, and to a file's place there."""
ACCESS_LISTS = ("system.posix_acl_access", "system.posix_acl_default")
"""Left out of layers, as docker and BuildKit do: what they allow is in the mode, and a new file in a
directory would inherit from it while a layer is unpacked."""
_OF_THE_MACHINE = (OVERRIDE_STAT, LABEL)
"""Our own record of the owner is no attribute of the image's either."""
_NAMESPACES = ("user.", "security.", "trusted.")
_FIT_EVERYWHERE = 2048
_NOT_SUPPORTED = (errno.ENOTSUP, errno.EOPNOTSUPP)


def put_xattrs(path: int | str, name: str, xattrs: Mapping[str, bytes]) -> None:
    """Put the attributes of the entry ``name`` on a file: an open one, or a path that is not followed.

    Left out are access lists, and what belongs to one machine. Raises InvalidLayer for one that would change how layers
    are stacked, that is of an unknown namespace, or that the system refuses.
    """
    together = sum(len(key) + len(value) for key, value in xattrs.items())
    for key, value in xattrs.items():
        if key in _OF_THE_MACHINE or key in ACCESS_LISTS:
            continue
        if key.startswith(OVERLAY):
            raise InvalidLayer(f"{shown(name)}: {key} would change how layers are stacked")
        if not key.startswith(_NAMESPACES) or "\0" in key:
            raise InvalidLayer(f"{shown(name)}: the extended attribute {shown(key)} cannot be part of a layer")
        _put(path, name, key, value, together)


def _put(path: int | str, name: str, key: str, value: bytes, together: int) -> None:
    """Put one attribute of a file whose attributes have so many bytes together."""
    try:
        if isinstance(path, int):
            os.setxattr(path, key, value)
        else:
            os.setxattr(path, key, value, follow_symlinks=False)
    except OSError as error:
        if isinstance(error, PermissionError) and key == CAPABILITY:
            _put(path, name, RECORDED_CAPABILITY, value, together)
            return
        # A file system also says that it is full where a file has more attributes than fit beside it.
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and together < _FIT_EVERYWHERE:
            raise
        raise InvalidLayer(
            f"{shown(name)}: the system refuses the extended attribute {shown(key)} ({error.strerror})",
            remedy="use a file system and a user that may set it",
        ) from error


def read_xattrs(path: int | str) -> dict[str, bytes]:
    """Return the attributes that a layer carries of a file: an open one, or a path that is not followed."""
    found = {key: _get(path, key) for key in list_xattrs(path) if _is_carried(key)}
    if RECORDED_CAPABILITY in found:
        found[CAPABILITY] = found.pop(RECORDED_CAPABILITY)
    return found


def _is_carried(key: str) -> bool:
    return key.startswith(_NAMESPACES) and not key.startswith(OVERLAY) and key not in _OF_THE_MACHINE


def list_xattrs(path: int | str) -> list[str]:
    """Return the names of all attributes of a file, none where its file system has none; a path is not followed."""
    try:
        return os.listxattr(path) if isinstance(path, int) else os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NOT_SUPPORTED:
            return []
        raise


def _get(path: int | str, key: str) -> bytes:
    return os.getxattr(path, key) if isinstance(path, int) else os.getxattr(path, key, follow_symlinks=False)
