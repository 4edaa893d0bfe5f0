"""What a step's mounts stand on in its tree, and what of that is taken away again after the step."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ocibuild.fs import Root, same_times, status_of
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# they are never a change, while /proc, /sys and /dev are one where they are missing, as with docker
STUBS = ("etc/hosts", "etc/resolv.conf")
"""Files that every step has, mounted over those of its image."""


def make_stub(folder: str, name: str) -> None:
    """Make an empty file in a folder of ours, with the modes that any user of a step needs."""
    parent, file = os.path.split(os.path.join(folder, name))
    os.makedirs(parent, exist_ok=True)
    os.chmod(parent, 0o755)
    fd = os.open(os.path.join(parent, file), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644)
    os.fchmod(fd, 0o644)
    os.close(fd)


def forget(root: Root, created: Sequence[str]) -> None:
    """Remove mount targets that nothing was put into; the directories that they were in keep their times."""
    for path in created:
        with suppress(OSError), root.parent_of(path) as (fd, name), same_times(fd):
            _remove_if_empty(fd, name)


class Stubs(NamedTuple):
    """What of ``STUBS`` is where in a tree: ``names`` are the real names of all, ``touched`` of what comes and goes."""

    names: list[str]
    touched: list[str]

    @classmethod
    @contextmanager
    def made_in(cls, tree: str) -> Iterator[Stubs]:
        """Make in a tree what is missing, and remove it afterwards, where it is still a file, whatever is in it then.

        The directories around them keep their times. Nothing is made where /etc is no directory of the tree.
        """
        with Root.open(tree) as root:
            folder, is_new = _find_folder(root)
            if folder is None:
                yield cls([], [])
                return
            names = [f"{folder}/{os.path.basename(name)}" for name in STUBS]
            made = [name for name in names if _make(root, name)]
            touched = [folder, *made] if made or is_new else []
            root.forget()
            yield cls(names, touched)
            for name in made:
                _remove(root, name)
            if is_new:
                _remove(root, folder)


def _find_folder(root: Root) -> tuple[str | None, bool]:
    """Return the real name of /etc, and whether it was made; None where it is no directory."""
    folder = os.path.dirname(STUBS[0])
    real = root.resolve(folder)
    try:
        return (real if stat.S_ISDIR(root.lstat(real).st_mode) else None), False
    except FileNotFoundError:
        if real != folder:
            return None, False
    with same_times(root.fd):
        os.mkdir(folder, dir_fd=root.fd)
        os.chmod(folder, 0o755, dir_fd=root.fd)
    return folder, True


def _make(root: Root, name: str) -> bool:
    """Make an empty file where nothing is; tell whether it was made."""
    with root.parent_of(name) as (fd, last):
        if status_of(fd, last) is not None:
            return False  # and the directory keeps its ctime
        with same_times(fd):
            file = os.open(last, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=fd)
            os.fchmod(file, 0o644)
            os.close(file)
    return True


def _remove(root: Root, name: str) -> None:
    """Remove a file, or an empty directory, where it still is one."""
    root.forget()
    with suppress(OSError), root.parent_of(name) as (fd, last), same_times(fd):
        if stat.S_ISREG(os.stat(last, dir_fd=fd, follow_symlinks=False).st_mode):
            os.unlink(last, dir_fd=fd)
        else:
            os.rmdir(last, dir_fd=fd)


def _remove_if_empty(dir_fd: int, name: str) -> None:
    status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        os.rmdir(name, dir_fd=dir_fd)
    elif stat.S_ISREG(status.st_mode) and status.st_size == 0:
        os.unlink(name, dir_fd=dir_fd)
