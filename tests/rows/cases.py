"""The Dockerfiles of ``dockerfiles/``: work in images that asks for owners, modes, links, devices and many files.

Each begins with a comment that says what it is about. All have the same context and the same options.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path

HERE = Path(__file__).parent
CASES = tuple(sorted(path.stem for path in (HERE / "dockerfiles").glob("*.Dockerfile")))
FILES = 100_000
FEW_FILES = 5_000
_TIME = 1_700_000_000


def write_context(folder: Path) -> Path:
    """Write the context, which everybody may read, with each Dockerfile in it by its case's name; returns it."""
    shutil.copytree(HERE / "context", folder)
    for case in CASES:
        shutil.copy(HERE / f"dockerfiles/{case}.Dockerfile", folder / case)
    (folder / "owned.tar").write_bytes(_archive())
    (folder / ".dockerignore").write_text("\n".join((".dockerignore", *CASES)))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.name == "script" else 0o644)
        os.utime(path, (_TIME, _TIME))
    (folder / "app/file").chmod(0o664)
    return folder


def _archive() -> bytes:
    """Return a tar of files of several owners, of which the base knows some by name."""
    entries = [
        ("tree", tarfile.DIRTYPE, 0o2750, 5, 60, ""),
        ("tree/file", tarfile.REGTYPE, 0o640, 1234, 4321, "of a number"),
        ("tree/program", tarfile.REGTYPE, 0o6755, 5, 60, "of games"),
        ("tree/same", tarfile.LNKTYPE, 0o640, 1234, 4321, "tree/file"),
        ("tree/link", tarfile.SYMTYPE, 0o777, 33, 33, "file"),
        ("tree/pipe", tarfile.FIFOTYPE, 0o620, 0, 5, ""),
        ("tree/sticky", tarfile.DIRTYPE, 0o1777, 65534, 65534, ""),
    ]
    names = {5: "games", 33: "www-data"}
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, kind, mode, uid, gid, content in entries:
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.uid, member.gid, member.mtime = kind, mode, uid, gid, _TIME
            member.uname = names.get(uid, "")
            if kind in (tarfile.LNKTYPE, tarfile.SYMTYPE):
                member.linkname = content
            elif kind == tarfile.REGTYPE:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content.encode()))
    return written.getvalue()
