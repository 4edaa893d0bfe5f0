"""The base of the Dockerfiles: the minimal Debian, whose packages come from the mirror on loopback alone."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from tests.rows.packages import SOURCE
from tests.support.bases import SUITE, debian_tar
from tests.support.cache import made_once

if TYPE_CHECKING:
    from pathlib import Path

_SOURCES = "./etc/apt/sources.list"
# what takes much room, and no Dockerfile asks for
_LEFT_OUT = ("./usr/share/doc/", "./usr/share/locale/", "./usr/share/man/", "./var/lib/apt/lists/")


def base_tar() -> Path:
    """Return the tar of the base, made once and kept between runs."""
    debian = debian_tar()
    return made_once(f"rows-base-{SUITE}-{debian.stat().st_mtime_ns}.tar", lambda path: _write(debian, path))


def _write(debian: Path, path: Path) -> None:
    with tarfile.open(debian) as source, tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for member in source:
            if not _is_left_out(member):
                tar.addfile(member, source.extractfile(member) if member.isfile() else None)
        entry = tarfile.TarInfo(_SOURCES)
        entry.mode, entry.size = 0o644, len(SOURCE)
        tar.addfile(entry, io.BytesIO(SOURCE.encode()))


def _is_left_out(member: tarfile.TarInfo) -> bool:
    is_source = member.name == _SOURCES or member.name.startswith(f"{_SOURCES}.d/")
    return is_source or (not member.isdir() and member.name.startswith(_LEFT_OUT))
