"""Where a result is written: a file that appears whole or not at all, or a stream."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from ocibuild.errors import NoSpace, OcibuildError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def destination(to: str | BinaryIO) -> Iterator[BinaryIO]:
    """Give a stream to write to; ``-`` is stdout, which must not be a terminal.

    A stream that was given stays open; it is flushed. A path that names a device or a FIFO is opened as it is: only a
    regular file is replaced.
    """
    if not isinstance(to, str):
        yield to
        to.flush()
    elif to == "-":
        if sys.stdout.isatty():
            raise UsageError("an archive cannot be written to a terminal", remedy="redirect stdout, or name a file")
        with translating("standard output"), destination(sys.stdout.buffer) as stream:
            yield stream
    elif _is_special(to):
        with translating(to), open(to, "wb") as stream:
            yield stream
    else:
        with replacing(to) as stream:
            yield stream


@contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Give a new file that takes the place of ``path`` when the block is left; after an exception nothing changes.

    It is on the disk by then (fsync). Where ``path`` is a symlink, the file it leads to is replaced. Raises NoSpace,
    and OcibuildError where the path cannot be written.
    """
    path = os.path.realpath(path)
    temporary = f"{path}.{os.urandom(4).hex()}.partial"
    with translating(path):
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise


@contextmanager
def translating(path: str) -> Iterator[None]:
    """Say of a path that it cannot be written: NoSpace, else OcibuildError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise NoSpace(f"{path}: {error.strerror}", remedy="free some space, or choose another place") from error
        raise OcibuildError(f"{path}: {error.strerror or error}", remedy="choose another destination") from error


def _is_special(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
