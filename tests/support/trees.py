"""File trees as values to compare: of a folder, and of an image in an OCI archive, flattened here."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_CAPABILITY = "security.capability"
_TYPES = {
    tarfile.REGTYPE: "-",
    tarfile.AREGTYPE: "-",
    tarfile.SYMTYPE: "l",
    tarfile.CHRTYPE: "c",
    tarfile.BLKTYPE: "b",
    tarfile.DIRTYPE: "d",
    tarfile.FIFOTYPE: "p",
}


@dataclass(frozen=True, slots=True)
class Node:
    """A file: ``kind`` as ls(1) shows it, ``detail`` a symlink's target, a device's numbers, a content's digest.

    ``links`` are all the names of a file that has several; ``capability`` is the xattr's value in hexadecimal.
    ``mtime``, in seconds, is known of an image's files alone and makes no difference.
    """

    kind: str
    mode: int
    uid: int
    gid: int
    detail: str = ""
    links: tuple[str, ...] = ()
    capability: str = ""
    mtime: int = field(default=0, compare=False)

    def __str__(self) -> str:
        links = f" links={','.join(self.links)}" if self.links else ""
        capability = f" capability={self.capability}" if self.capability else ""
        return f"{self.kind}{self.mode:04o} {self.uid}:{self.gid} {self.detail}".rstrip() + links + capability


Tree = dict[str, Node]


def describe(tree: Mapping[str, Node]) -> list[str]:
    """Return one line for each name, sorted."""
    return [f"{path}\t{node}" for path, node in sorted(tree.items())]


def changes(base: Mapping[str, Node], tree: Mapping[str, Node]) -> list[str]:
    """Return a line for each name that ``tree`` has otherwise than ``base``, and for each that it does not have."""
    added = {path: node for path, node in tree.items() if base.get(path) != node}
    return sorted(describe(added) + [f"{path}\tremoved" for path in base.keys() - tree.keys()])


def tree_of_folder(folder: str | Path) -> Tree:
    """Return the tree below a folder, read as the one who calls; without the times."""
    tree: Tree = {}
    inodes: dict[int, list[str]] = defaultdict(list)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            status = os.lstat(path)
            relative = os.path.relpath(path, folder)
            tree[relative] = _node(path, status)
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                inodes[status.st_ino].append(relative)
    return _with_links(tree, inodes.values())


def _node(path: str, status: os.stat_result) -> Node:
    kind = stat.filemode(status.st_mode)[0]
    detail = ""
    if kind == "l":
        detail = os.readlink(path)
    elif kind in "cb":
        detail = f"{os.major(status.st_rdev)},{os.minor(status.st_rdev)}"
    elif kind == "-":
        with open(path, "rb") as file:
            detail = _digest(file.read())
    capability = os.getxattr(path, _CAPABILITY).hex() if kind == "-" and _CAPABILITY in os.listxattr(path) else ""
    return Node(kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, detail, capability=capability)


def _with_links(tree: Tree, groups: Any) -> Tree:
    for group in groups:
        if len(group) > 1:
            for path in group:
                tree[path] = replace(tree[path], links=tuple(sorted(group)))
    return tree


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Image:
    """An image read from an OCI archive: its config as it is there, and its tree, flattened."""

    manifest: dict[str, Any]
    config: dict[str, Any]
    tree: Tree
    layers: tuple[tuple[str, ...], ...]
    """The names in each layer's tar, in their order."""


def read_archive(path: str | Path, steady: Callable[[bytes], bytes] = bytes) -> Image:
    """Return the one image in an OCI archive.

    ``steady`` is given the content of each file and returns what is to be compared of it.
    """
    with tarfile.open(path) as archive:

        def blob(descriptor: Mapping[str, Any]) -> bytes:
            return _member(archive, f"blobs/{descriptor['digest'].replace(':', '/')}")

        (entry,) = json.loads(_member(archive, "index.json"))["manifests"]
        manifest = json.loads(blob(entry))
        # Go writes null for an image of nothing
        layers = [plain_tar(blob(layer)) for layer in manifest["layers"] or ()]
        names = tuple(_names(layer) for layer in layers)
        return Image(manifest, json.loads(blob(manifest["config"])), flatten(layers, steady), names)


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def plain_tar(layer: bytes) -> bytes:
    """Return a layer's plain tar; at once, as it is not read from front to back."""
    return gzip.decompress(layer) if layer.startswith(b"\x1f\x8b") else layer


def _names(layer: bytes) -> tuple[str, ...]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return tuple(tar.getnames())


def flatten(layers: list[bytes], steady: Callable[[bytes], bytes] = bytes) -> Tree:
    """Apply layers one after the other (image-spec, layer.md): what a layer removes is of those below it."""
    tree: Tree = {}
    same: dict[str, int] = {}  # name: which file it is a name of
    for number, layer in enumerate(layers):
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            members = tar.getmembers()
            for member in members:
                _apply_whiteout(tree, member.name)
            for position, member in enumerate(members):
                if os.path.basename(member.name).startswith(".wh."):
                    continue
                _apply(tree, same, tar, member, steady, identity=number << 32 | position)
    groups: dict[int, list[str]] = defaultdict(list)
    for name in tree:
        groups[same[name]].append(name)
    return _with_links(tree, groups.values())


def _apply_whiteout(tree: Tree, name: str) -> None:
    folder, base = os.path.split(os.path.normpath(name))
    if base == ".wh..wh..opq":
        _remove_below(tree, folder)
    elif base.startswith(".wh."):
        removed = os.path.join(folder, base.removeprefix(".wh."))
        tree.pop(removed, None)
        _remove_below(tree, removed)


def _remove_below(tree: Tree, folder: str) -> None:
    for name in [name for name in tree if name.startswith(f"{folder}/")]:
        del tree[name]


def _apply(
    tree: Tree,
    same: dict[str, int],
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    steady: Callable[[bytes], bytes],
    *,
    identity: int,
) -> None:
    name = os.path.normpath(member.name)
    if name == ".":
        return
    if member.islnk():
        target = os.path.normpath(member.linkname)
        tree[name], same[name] = tree[target], same[target]
        return
    if not member.isdir():
        _remove_below(tree, name)
    tree[name], same[name] = _node_of(tar, member, steady), identity


def _node_of(tar: tarfile.TarFile, member: tarfile.TarInfo, steady: Callable[[bytes], bytes]) -> Node:
    kind = _TYPES[member.type]
    detail = ""
    if kind == "l":
        detail = member.linkname
    elif kind in "cb":
        detail = f"{member.devmajor},{member.devminor}"
    elif file := tar.extractfile(member):
        detail = _digest(steady(file.read()))
    value = member.pax_headers.get(f"SCHILY.xattr.{_CAPABILITY}", "")
    capability = value.encode("utf-8", "surrogateescape").hex()
    return Node(kind, member.mode, member.uid, member.gid, detail, capability=capability, mtime=int(member.mtime))
