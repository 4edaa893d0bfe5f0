"""Tars made by hand and by others, trees made real, and both as plain values that compare."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from ocibuild.fs import Root
from ocibuild.layer.apply import Applied, apply
from ocibuild.layer.entry import Entry, Kind
from ocibuild.layer.owners import Ownership, RealOwners, RecordedOwners
from ocibuild.layer.reader import TarReader
from ocibuild.layer.writer import TarWriter
from ocibuild.oci import Compression

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MTIME = 1_600_000_000

OWNERS: Ownership = RealOwners.of_this_process() if os.geteuid() == 0 else RecordedOwners()
"""How this user can unpack a layer of root's files."""


def member(name: str, kind: bytes = tarfile.REGTYPE, body: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Return one member of a tar, as the standard library has it."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(body)
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    info.mtime = MTIME
    for key, value in fields.items():
        setattr(info, key, value)
    return info, body


def directory(name: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, tarfile.DIRTYPE, **fields)


def symlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, tarfile.SYMTYPE, linkname=target)


def hardlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, tarfile.LNKTYPE, linkname=target)


def tar_of(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar of the members, written by the standard library; names are not cleaned."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=form, encoding="utf-8") as archive:
        for info, body in members:
            archive.addfile(info, io.BytesIO(body))
    return output.getvalue()


def unpack(tar: bytes, path: Path, compression: Compression = Compression.NONE) -> Applied:
    """Apply the layer in ``tar`` to the new directory ``path``."""
    path.mkdir(exist_ok=True)
    with Root.open(path) as root:
        return apply(io.BytesIO(tar), compression, root, owners=OWNERS)


def read_all(tar: bytes) -> list[tuple[Entry, bytes]]:
    reader = TarReader(io.BytesIO(tar))
    return [(entry, b"".join(reader.body())) for entry in reader]


def write_all(entries: Iterable[tuple[Entry, bytes]]) -> bytes:
    output = io.BytesIO()
    writer = TarWriter(output.write)
    for entry, body in entries:
        writer.add(entry, [body] if body else [])
    writer.close()
    return output.getvalue()


def tree(path: Path) -> dict[str, tuple[object, ...]]:
    """Return all that is below ``path`` as plain values: kind and mode, owner, time, and content."""
    with Root.open(path) as root:
        return {name: _described(path / name, status) for name, status in root.walk()}


def names(path: Path) -> dict[str, str]:
    """Return kind by name: ``f`` and content, ``d``, ``l`` and target, ``w`` for a whiteout, ``o`` for opaque."""
    found = {}
    with Root.open(path) as root:
        for name, status in root.walk():
            found[name] = _letter(path / name, status)
    return found


def _letter(path: Path, status: os.stat_result) -> str:
    if stat.S_ISDIR(status.st_mode):
        return "o" if "user.overlay.opaque" in os.listxattr(path) else "d"
    if stat.S_ISLNK(status.st_mode):
        return f"l {os.readlink(path)}"
    if stat.S_ISREG(status.st_mode):
        return f"f {path.read_text()}"
    return "w" if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0 else "?"


def _described(path: Path, status: os.stat_result) -> tuple[object, ...]:
    content: object = status.st_rdev
    if stat.S_ISREG(status.st_mode):
        content = (path.read_bytes(), status.st_nlink)
    elif stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    keys = [] if stat.S_ISLNK(status.st_mode) else os.listxattr(path)
    xattrs = {
        key: os.getxattr(path, key) for key in keys if key not in ("security.selinux", "user.containers.override_stat")
    }
    return (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, content, xattrs)


def tool(name: str) -> str:
    """Return the path of another program that reads or writes tars; where it is missing, the test is left out."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def run(*args: str, **options: Any) -> bytes:
    done: subprocess.CompletedProcess[bytes] = subprocess.run(args, check=True, capture_output=True, **options)
    return done.stdout


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change owners")

__all__ = [
    "MTIME",
    "OWNERS",
    "Kind",
    "directory",
    "hardlink",
    "member",
    "names",
    "needs_root",
    "read_all",
    "run",
    "symlink",
    "tar_of",
    "tool",
    "tree",
    "unpack",
    "write_all",
]
