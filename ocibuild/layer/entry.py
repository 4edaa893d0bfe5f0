"""One entry of a layer, and its name made safe."""

from __future__ import annotations

from dataclasses import field
from enum import Enum

from ocibuild.errors import InvalidLayer
from ocibuild.values import dataclass

MAX_NAME = 4096
"""Bytes of a name or of a link's target: PATH_MAX, above which no system call takes it."""


class Kind(Enum):
    """What an entry makes."""

    FILE = "file"
    HARDLINK = "hard link"
    SYMLINK = "symbolic link"
    CHARACTER = "character device"
    BLOCK = "block device"
    DIRECTORY = "directory"
    FIFO = "FIFO"


@dataclass(slots=True)
class Entry:
    """One entry of a tar, without its body.

    ``name`` is relative and clean: no empty, ``.`` or ``..`` component, and ``.`` alone for the root. ``linkname`` is
    clean likewise for a hard link, and as it was written for a symlink. Both are UTF-8, other bytes as surrogate
    escapes. ``mode`` is the permission bits with set-user-ID, set-group-ID and sticky; ``size`` bytes of the file with
    its holes; ``mtime_ns`` nanoseconds since 1970; ``device`` major and minor number.
    """

    name: str
    kind: Kind
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    linkname: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: dict[str, bytes] = field(default_factory=dict)


def clean_name(text: str) -> str:
    """Return ``text`` as a relative name with no empty, ``.`` or ``..`` component; ``.`` for the root.

    ``a/../b`` is ``b``, as other tools read it, and ``/..`` is the root. Raises InvalidLayer for a name that would
    leave the root, that holds a NUL, or that is too long.
    """
    if "/." in text or "//" in text or text[:1] == ".":
        text = _normalised(text)
    text = text.strip("/") or "."
    if "\0" in text:
        raise InvalidLayer(f"{shown(text)}: a name cannot hold a NUL")
    if len(text) > MAX_NAME:
        raise InvalidLayer(f"{shown(text)}: a name of {len(text)} characters, more than {MAX_NAME}")
    return text


def _normalised(text: str) -> str:
    parts: list[str] = []
    for part in text.split("/"):
        if part == "..":
            if not parts and not text.startswith("/"):
                raise InvalidLayer(f"{shown(text)} leaves the root directory", remedy="rebuild the layer without it")
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def shown(name: str) -> str:
    """Return ``name`` for a message: quoted, and cut where a stranger made it very long."""
    return repr(name if len(name) <= 200 else name[:200] + "…")
