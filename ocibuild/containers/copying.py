"""Files copied out of a container, and into one, as ``docker cp`` does."""

from __future__ import annotations

import os
import posixpath
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from ocibuild.archive import translating
from ocibuild.errors import OcibuildError
from ocibuild.fs import Root
from ocibuild.layer.owners import RealOwners
from ocibuild.output.tree import write_tree_entry, write_tree_folder

if TYPE_CHECKING:
    from ocibuild.layer.owners import Ownership


def copy_out(root: Root, ownership: Ownership, path: str, to: str) -> None:
    """Copy what is at ``path`` in a container's tree to ``to`` of the machine; all of it belongs to whoever runs this.

    A directory becomes ``to``, or goes into it where that is a directory; with ``/.`` at its end what it holds goes
    there. A file goes into a directory too, or becomes ``to``, which is followed where it is a symbolic link. Raises
    OcibuildError.
    """
    name = path.strip("/")
    try:
        status = root.lstat(name or ".")
    except OSError as error:
        raise OcibuildError(f"{path}: {error.strerror} in the container") from error
    if path.endswith("/") and stat.S_ISLNK(status.st_mode):
        name, status = _followed(root, name)
    is_folder, there = stat.S_ISDIR(status.st_mode), os.path.isdir(to)
    if path.endswith("/") and not is_folder:
        raise OcibuildError(f"{path}: is no directory in the container")
    inside = there and not path.endswith("/.")
    final = os.path.join(to, posixpath.basename(name.removesuffix("/."))) if inside and name else to
    if os.path.islink(final):
        final = os.path.realpath(final)
    if not is_folder and not there and to.endswith("/"):
        raise OcibuildError(f"{to}: no such directory", remedy="make it first")
    above = os.path.dirname(os.path.abspath(final))
    if not os.path.isdir(above):
        raise OcibuildError(f"{above}: no such directory", remedy="make it first")
    if is_folder and os.path.lexists(final) and not os.path.isdir(final):
        raise OcibuildError(f"{final}: is no directory, and {path} is one")
    if not is_folder:
        _refuse_special(final)
        with translating(final), Root.open(above) as folder:
            _write_whole(root, name, ownership, folder, os.path.basename(os.path.abspath(final)))
        return
    os.makedirs(final, exist_ok=True)
    with translating(final), root.open_directory(name or ".") as below, Root.open(final) as folder:
        write_tree_folder(below, ownership, folder, keeps_owners=False)


def copy_in(root: Root, source: str, path: str) -> None:
    """Copy ``source`` of the machine to ``path`` in a container's tree, which root owns there; as ``copy_out`` does.

    Raises OcibuildError.
    """
    if not os.path.lexists(source):
        raise OcibuildError(f"{source}: no such file or directory")
    folder, name = os.path.split(os.path.abspath(source))
    name = name or "."
    is_folder = os.path.isdir(source)
    inside = _is_directory(root, path) and not source.endswith("/.")
    final = posixpath.join(path, name) if inside else path
    above = posixpath.dirname(final.rstrip("/")) or "/"
    if not _is_directory(root, above) or (path.endswith("/") and not is_folder and not inside):
        missing = path if _is_directory(root, above) else above
        raise OcibuildError(f"{missing}: no such directory in the container", remedy="make it first")
    ours = RealOwners.of_this_process()
    if not is_folder:
        parent, _, last = root.resolve(final).rpartition("/")
        with Root.open(folder) as origin, root.open_directory(parent or ".") as target:
            write_tree_entry(origin, name, ours, target, last)
        return
    if not _is_directory(root, final):
        with root.parent_of(final.strip("/")) as (fd, last):
            os.mkdir(last, 0o755, dir_fd=fd)
        root.forget()
    with Root.open(source) as origin, root.open_directory(final.strip("/") or ".") as target:
        write_tree_folder(origin, ours, target, keeps_owners=False)


def _followed(root: Root, name: str) -> tuple[str, os.stat_result]:
    try:
        real = root.resolve(name)
        return real, root.lstat(real)
    except OSError as error:
        raise OcibuildError(f"/{name}: {error.strerror} in the container") from error


def _write_whole(root: Root, name: str, ownership: Ownership, folder: Root, to: str) -> None:
    """Put a file into a folder, or nothing."""
    try:
        write_tree_entry(root, name, ownership, folder, to)
    except BaseException:
        with suppress(OSError):
            os.unlink(to, dir_fd=folder.fd)
        raise


def _refuse_special(path: str) -> None:
    """Raise OcibuildError where a device, a FIFO or a socket would be replaced, such as /dev/null."""
    if os.path.lexists(path) and not stat.S_ISREG(mode := os.lstat(path).st_mode) and not stat.S_ISLNK(mode):
        raise OcibuildError(f"{path}: is neither a file nor a directory", remedy="choose another destination")


def _is_directory(root: Root, path: str) -> bool:
    try:
        with root.open_directory(path.strip("/") or "."):
            return True
    except OSError:
        return False
