"""What a failed system call on an entry means to a user."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocibuild.errors import InvalidLayer, NoSpace, StoreError, UnsafePath
from ocibuild.layer.entry import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def translated(name: str, error: OSError | UnsafePath) -> Exception:
    """Return the exception to raise for a failed system call on the entry ``name``, or for symlinks that loop.

    That is the error itself where nothing is known of its meaning.
    """
    if isinstance(error, UnsafePath):
        return InvalidLayer(error.message)
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


@contextmanager
def translating(name: str) -> Iterator[None]:
    """Raise what ``translated()`` returns for a failure on the entry ``name``."""
    try:
        yield
    except (OSError, UnsafePath) as error:
        raise translated(name, error) from error
