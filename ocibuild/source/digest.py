"""The digest of what a selection of files holds, for cache keys."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from ocibuild.oci import Digest
from ocibuild.source.contents import FileDigests, changed_meanwhile
from ocibuild.source.files import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ocibuild.fs import Root
    from ocibuild.source.contents import DigestCache, Xattrs
    from ocibuild.source.files import Exclusion, Found, Selected

_FORMAT = b"ocibuild content 2\n"
_WAITING = 4096
"""Records that may wait for the digest of a file before them."""

Owner: TypeAlias = "Callable[[str, os.stat_result], tuple[int, int, int]]"
"""Gives the user ID, group ID and permission bits that count for a path below the root with that lstat."""


def owned_by_root(_path: str, status: os.stat_result) -> tuple[int, int, int]:
    """Count every file as owned by 0:0, as files of a build context are."""
    mode = stat.S_IMODE(status.st_mode)
    return 0, 0, 0o777 if stat.S_ISLNK(status.st_mode) else mode


def content_digest(
    root: Root,
    selected: Sequence[Selected],
    *,
    excluded: Exclusion | None = None,
    exclude: Sequence[str] = (),
    owner: Owner = owned_by_root,
    xattrs: Xattrs = lambda _fd: {},
    cache: DigestCache | None = None,
    kept: list[bytes] | None = None,
) -> Digest:
    """Return a digest that differs where COPY of ``selected`` would give other files.

    It covers, in order, each source's own name where it is no directory, and of it and all that is taken below: name,
    type, permission bits, owners, target of a symlink, numbers of a device, bytes and ``xattrs`` of a file, which names
    are of one file, and whether it is there as a parent only. Times and the size of a directory are not in it.
    ``exclude`` are the patterns of ``--exclude``. A file whose state ``cache`` knows is not opened. What is digested is
    also put into ``kept``, for ``listing()``. Raises SourceError for a file that cannot be read.
    """
    whole = hashlib.sha256(_FORMAT)
    with FileDigests(root, cache, xattrs) as contents:
        taken = ((source, walk(root, source, excluded=excluded, exclude=exclude)) for source in selected)
        records = _in_order(_records(root, taken, owner, contents))
        if kept is not None:
            kept.extend(records)
            records = iter(kept)
        for record in records:
            whole.update(record)
    return Digest(f"sha256:{whole.hexdigest()}")


_Payload: TypeAlias = "bytes | Callable[[], bytes]"
_Record: TypeAlias = "tuple[bytes, _Payload]"


def _records(
    root: Root, taken: Iterable[tuple[Selected, Iterable[Found]]], owner: Owner, contents: FileDigests
) -> Iterator[_Record]:
    for source, below in taken:
        own_name = b"" if source.is_directory else os.fsencode(source.name.rpartition("/")[2])
        yield b"source %d:%b" % (len(own_name), own_name), b""
        prefix = f"{source.path}/" if source.path else ""
        links: dict[tuple[int, int], bytes] = {}
        for name, status, is_parent in below:
            path = prefix + name if name else source.path
            encoded = os.fsencode(name)
            head = b"%d:%b %o %d %d %o " % (len(encoded), encoded, stat.S_IFMT(status.st_mode), *owner(path, status))
            if status.st_nlink > 1 and stat.S_ISREG(status.st_mode):
                head += _link(links.setdefault((status.st_dev, status.st_ino), encoded), encoded)
            yield head + b"parent " * is_parent, _payload(root, path, status, contents)


def _link(first: bytes, name: bytes) -> bytes:
    """Return what is recorded of one of several names of a file, of which ``first`` came first."""
    return b"" if name == first else b"link %d:%b " % (len(first), first)


def _payload(root: Root, path: str, status: os.stat_result, contents: FileDigests) -> _Payload:
    match stat.S_IFMT(status.st_mode):
        case stat.S_IFREG:
            return contents.digest(path, status)
        case stat.S_IFLNK:
            target = _target(root, path)
            return b"%d:%b" % (len(target), target)
        case stat.S_IFCHR | stat.S_IFBLK:
            return b"%d,%d" % (os.major(status.st_rdev), os.minor(status.st_rdev))
        case _:
            return b""


def _target(root: Root, path: str) -> bytes:
    try:
        return os.fsencode(root.readlink(path))
    except OSError as error:
        raise changed_meanwhile(path) from error


def _in_order(records: Iterable[_Record]) -> Iterator[bytes]:
    """Yield the records as bytes; what is still being hashed waits here, with a bounded number of those after it."""
    waiting: deque[_Record] = deque()
    for head, payload in records:
        if not waiting and isinstance(payload, bytes):
            yield b"%b%b\n" % (head, payload)
            continue
        waiting.append((head, payload))
        if len(waiting) > _WAITING:
            yield _encoded(waiting.popleft())
    yield from map(_encoded, waiting)


def _encoded(record: _Record) -> bytes:
    head, payload = record
    return b"%b%b\n" % (head, payload if isinstance(payload, bytes) else payload())
