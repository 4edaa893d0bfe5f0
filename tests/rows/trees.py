"""What an image shows, as a value to compare: its layers applied in memory, as the image specification says (layer.md).

What is not compared: times, and the content of files that no two builds write alike (see ``unsteady``).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from tests.rows.unsteady import steady

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_XATTR = "SCHILY.xattr."
_KINDS = {
    tarfile.REGTYPE: "-",
    tarfile.AREGTYPE: "-",
    tarfile.GNUTYPE_SPARSE: "-",
    tarfile.CONTTYPE: "-",
    tarfile.SYMTYPE: "l",
    tarfile.CHRTYPE: "c",
    tarfile.BLKTYPE: "b",
    tarfile.DIRTYPE: "d",
    tarfile.FIFOTYPE: "p",
}


class File(NamedTuple):
    """``detail`` is a link's target, a device's numbers, or a digest; ``names`` are all of a file that has several."""

    kind: str
    mode: int
    uid: int
    gid: int
    detail: str
    xattrs: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        xattrs = "".join(f" {name}={value}" for name, value in self.xattrs)
        names = f" names={','.join(self.names)}" if self.names else ""
        return f"{self.kind}{self.mode:04o} {self.uid}:{self.gid} {self.detail}".rstrip() + xattrs + names


class Entry(NamedTuple):
    """One entry of a layer: a file, or another name, ``same_as``, for one."""

    name: str
    file: File | None
    same_as: str = ""


Tree = dict[str, File]


def read_layer(blob: bytes) -> tuple[Entry, ...]:
    """Return the entries of a layer, in their order."""
    plain = gzip.decompress(blob) if blob.startswith(b"\x1f\x8b") else blob
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        return tuple(_entry(tar, member) for member in tar)


def _entry(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    name = os.path.normpath(member.name.lstrip("/"))
    if member.islnk():
        return Entry(name, None, os.path.normpath(member.linkname.lstrip("/")))
    kind = _KINDS[member.type]
    xattrs = sorted(
        (key.removeprefix(_XATTR), value.encode("utf-8", "surrogateescape").hex())
        for key, value in member.pax_headers.items()
        if key.startswith(_XATTR)
    )
    return Entry(name, File(kind, member.mode, member.uid, member.gid, _detail(tar, member, name), tuple(xattrs)))


def _detail(tar: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> str:
    if member.issym():
        return member.linkname
    if member.ischr() or member.isblk():
        return f"{member.devmajor},{member.devminor}"
    if file := tar.extractfile(member):
        return hashlib.sha256(steady(name, file.read())).hexdigest()[:12]
    return ""


def flatten(layers: Iterable[tuple[Entry, ...]]) -> Tree:
    """Apply layers one after the other; what one removes is of those below it, wherever in the layer that stands.

    Names of one file have the very same object here.
    """
    tree: Tree = {}
    for layer in layers:
        for entry in layer:
            _remove_what_it_hides(tree, entry.name)
        for entry in layer:
            if not os.path.basename(entry.name).startswith(".wh."):
                _add(tree, entry)
    return _with_names(tree)


def _remove_what_it_hides(tree: Tree, name: str) -> None:
    folder, base = os.path.split(name)
    if base == ".wh..wh..opq":
        _remove_below(tree, folder)
    elif base.startswith(".wh."):
        _remove(tree, os.path.join(folder, base.removeprefix(".wh.")))


def _add(tree: Tree, entry: Entry) -> None:
    file = entry.file or tree[entry.same_as]
    if file.kind != "d":
        _remove(tree, entry.name)
    tree[entry.name] = file


def _remove(tree: Tree, name: str) -> None:
    removed = tree.pop(name, None)
    if removed and removed.kind == "d":
        _remove_below(tree, name)


def _remove_below(tree: Tree, folder: str) -> None:
    for name in [name for name in tree if name.startswith(f"{folder}/")]:
        del tree[name]


def _with_names(tree: Tree) -> Tree:
    groups: dict[int, list[str]] = defaultdict(list)
    for name, file in tree.items():
        groups[id(file)].append(name)
    return {
        name: file._replace(names=tuple(sorted(names))) if len(names := groups[id(file)]) > 1 else file
        for name, file in tree.items()
    }


def differences(left: Mapping[str, File], right: Mapping[str, File]) -> dict[str, str]:
    """Return by name what the two have otherwise, ``left`` first."""
    return {
        name: f"- {left.get(name, 'is not there')}\n+ {right.get(name, 'is not there')}"
        for name in sorted({*left, *right})
        if left.get(name) != right.get(name)
    }
