"""A case of the corpus: layers, and the tree that they must show or the error that they must end with."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ocibuild.fs import Root
from ocibuild.oci import mediatypes
from tests.layers.tar import END, MTIME

if TYPE_CHECKING:
    from collections.abc import Mapping

Tree = dict[str, str]


@dataclass(frozen=True, slots=True)
class Blob:
    """A layer as it is stored: its plain tar, and the bytes of the blob."""

    plain: bytes
    blob: bytes
    media_type: str = mediatypes.OCI_LAYER_GZIP


@dataclass(frozen=True, slots=True)
class Row:
    """One case; ``name`` is a sentence.

    ``layers`` are oldest first. Either ``tree`` is what the stack shows, as ``described()`` writes it, or ``error`` is
    in the message of the InvalidLayer. ``apart`` says by peer why it has another tree; ``why`` why we have this one,
    where the specification does not say.
    """

    name: str
    layers: tuple[Blob, ...]
    tree: Mapping[str, str] | None = None
    error: str = ""
    apart: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


def layer(*entries: bytes, end: bytes = END) -> Blob:
    """Return a layer of these entries, compressed as most are."""
    return stored(b"".join(entries) + end)


def stored(plain: bytes) -> Blob:
    """Return a layer whose tar is this."""
    return Blob(plain, gzip.compress(plain, 1, mtime=0))


def good(name: str, *layers: Blob, tree: Mapping[str, str], why: str = "", **apart: str) -> Row:
    """Return a row that shows a tree; ``apart`` says by peer why that one shows another."""
    return Row(name, layers, tree, apart=apart, why=why)


def bad(name: str, *layers: Blob, error: str, why: str = "") -> Row:
    """Return a row that is refused."""
    return Row(name, layers, error=error, why=why)


def described(root: Root, *, times: bool = True) -> Tree:
    """Return one line for each name below ``root``, and for the root where it is not an ordinary one.

    The line is the type as find(1) has it, the mode, then what the file holds; owners other than root's, times other
    than MTIME, extended attributes and the number of names follow where they are not what they mostly are.
    """
    tree = {name: _line(root, name, status, times=times) for name, status in root.walk()}
    top = _line(root, ".", os.stat(root.fd), times=False)
    return tree if top == "d 755" else tree | {".": top}


def _line(root: Root, name: str, status: os.stat_result, *, times: bool) -> str:
    dir_fd, last = root.borrow_parent(name)
    path = f"/proc/self/fd/{dir_fd}/{last}"
    kind, mode = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)
    words = [_LETTERS[kind], *([] if kind == stat.S_IFLNK else [f"{mode:o}"])]
    if kind == stat.S_IFREG:
        with open(path, "rb") as file:
            words += [_content(file.read(1 << 24))]
    elif kind == stat.S_IFLNK:
        words += [os.readlink(path)]
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        words += [f"{os.major(status.st_rdev)},{os.minor(status.st_rdev)}"]
    if (status.st_uid, status.st_gid) != (0, 0):
        words += [f"@{status.st_uid}:{status.st_gid}"]
    if times and status.st_mtime_ns != MTIME * 10**9:
        words += [f"~{status.st_mtime_ns / 10**9:.12g}"]
    words += [
        f"+{key}={os.getxattr(path, key, follow_symlinks=False).decode('latin-1')}"
        for key in sorted(os.listxattr(path, follow_symlinks=False))
        if not key.startswith(("user.overlay.", "security.selinux"))
    ]
    if status.st_nlink > 1 and kind != stat.S_IFDIR:
        words += [f"#{status.st_nlink}"]
    return " ".join(word for word in words if word)


def remove_all(folder: str | os.PathLike[str]) -> None:
    """Empty a folder, however deep what is in it: deeper than whoever removes temporary folders can go."""
    with Root.open(folder) as root:
        for name in os.listdir(folder):
            root.remove(name)


_LETTERS = {
    stat.S_IFREG: "f",
    stat.S_IFDIR: "d",
    stat.S_IFLNK: "l",
    stat.S_IFIFO: "p",
    stat.S_IFCHR: "c",
    stat.S_IFBLK: "b",
}


def _content(body: bytes) -> str:
    if len(body) <= 40:
        return body.decode("utf-8", "backslashreplace")
    return big(body)


def big(body: bytes) -> str:
    """Return what stands for a content that is too long to show."""
    return f"<{len(body)} {hashlib.sha256(body).hexdigest()[:8]}>"
