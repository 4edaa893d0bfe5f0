"""What a failed system call on an entry means to a user."""

from __future__ import annotations

import errno

from ocibuild.errors import InvalidLayer, NoSpace, StoreError
from ocibuild.layer.entry import shown

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_ATTRIBUTES = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP})
_FAULTS_OF_THE_LAYER = frozenset(
    {
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.EISDIR,
        errno.ELOOP,
        errno.EFBIG,
        errno.EILSEQ,
        errno.EMLINK,
    }
)


def translated(name: str, error: OSError) -> Exception:
    """Return the exception to raise for a failed system call on the entry ``name``.

    That is the error itself where nothing is known of its meaning.
    """
    if error.errno in _FULL:
        return NoSpace(f"{shown(name)}: {error.strerror}", remedy="free some space, or put the store on a larger disk")
    if error.errno in _NO_ATTRIBUTES:
        return StoreError(
            f"{shown(name)}: the file system of the store has no extended attributes",
            remedy="put the store on ext4, xfs or btrfs",
        )
    if error.errno in _FAULTS_OF_THE_LAYER:
        return InvalidLayer(f"{shown(name)} cannot be made: {error.strerror}")
    return error
