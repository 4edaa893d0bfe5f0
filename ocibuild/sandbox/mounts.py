"""Mounts as values: each can say what it is, and open itself as a detached mount.

Sources are opened before the root is changed and attached after it, so that the symbolic links of a hostile image are
followed inside that image and nowhere else.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from ocibuild.errors import SandboxError
from ocibuild.sandbox import syscalls
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NO_PRIVILEGES = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV | syscalls.MOUNT_ATTR_NOEXEC
_READ_ONLY = syscalls.MOUNT_ATTR_RDONLY
_MOST_LOWERS = 500  # OVL_MAX_STACK


class Overlay(NamedTuple):
    """The directories ``lowers``, topmost first, under ``upper``; read-only where that is None.

    Unless ``devices``, nodes in it cannot be opened: root's steps may make them for their layer, not use them on this
    machine.
    What the layers cover is kept in ``user.overlay.`` attributes whoever mounts it: so the layers are the same for root
    and for others, and the kernel offers no redirects or metadata-only copies, which a layer could not hold.
    ``scratch`` is an empty directory, only used where it must be, as one more lower directory or a mount point.
    """

    lowers: list[str]
    upper: str | None
    work: str | None
    scratch: str
    devices: bool = False

    @property
    def mount_point(self) -> str:
        """A directory to mount it at, in a mount namespace of one's own."""
        return self.scratch

    def open(self) -> int:
        """Return a descriptor of the mount, attached nowhere."""
        if len(self.lowers) <= _MOST_LOWERS:
            return self._open()
        # what is too deep for one overlay is the lowest directory of another; older kernels want that attached
        top, rest = self.lowers[: _MOST_LOWERS - 1], self.lowers[_MOST_LOWERS - 1 :]
        with _attaching, _attached(Overlay(rest, None, None, self.scratch).open(), self.scratch):
            return self._replace(lowers=[*top, self.scratch]).open()

    def _open(self) -> int:
        try:
            with _named(self._directories()) as names:
                return syscalls.new_mount("overlay", self._options(names), self._attributes())
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            with _attaching:
                return self._open_with_string()

    def _directories(self) -> list[str]:
        changing = [] if self.upper is None or self.work is None else [self.upper, self.work]
        # without an upper directory the kernel wants two lower ones
        padding = [] if changing or len(self.lowers) > 1 else [self.scratch]
        return [*changing, *self.lowers, *padding]

    def _options(self, names: Sequence[str]) -> list[tuple[str, str | None]]:
        keys = [] if self.upper is None else ["upperdir", "workdir"]
        keys += ["lowerdir+"] * (len(names) - len(keys))
        return [*((flag, None) for flag in self._flags()), *zip(keys, names, strict=True)]

    def _attributes(self) -> int:
        return 0 if self.devices else syscalls.MOUNT_ATTR_NODEV

    def _flags(self) -> list[str]:
        # volatile: else each unmount would write back all that is unwritten on the upper directory's file system
        return ["userxattr"] if self.upper is None else ["userxattr", "volatile"]

    def _open_with_string(self) -> int:
        """Mount as older kernels want it: all options in one string of a page at most, and attached."""
        with _named(self._directories()) as names:
            changing = [] if self.upper is None else [f"upperdir={names[0]}", f"workdir={names[1]}"]
            lowers = "lowerdir=" + ":".join(names[len(changing) :])
            syscalls.mount("overlay", self.scratch, "overlay", 0, ",".join([*self._flags(), lowers, *changing]))
        try:
            return _copy_of_mount(self.scratch, self._attributes(), recursive=False)
        finally:
            syscalls.unmount(self.scratch, syscalls.MNT_DETACH)


class Folder(NamedTuple):
    """A directory that is a whole tree by itself; unless ``devices``, nodes in it cannot be opened."""

    path: str
    read_only: bool = False
    devices: bool = False

    @property
    def mount_point(self) -> str:
        """A directory to mount it at, in a mount namespace of one's own."""
        return self.path

    def open(self) -> int:
        """Return a descriptor of the mount, attached nowhere."""
        attributes = (_READ_ONLY if self.read_only else 0) | (0 if self.devices else syscalls.MOUNT_ATTR_NODEV)
        return _copy_of_mount(self.path, attributes, recursive=False)


RootTree: TypeAlias = Overlay | Folder
"""What a step sees as its root."""

# some mounts have to be attached for a moment, where another thread must neither look nor mount
_attaching = threading.RLock()


@contextmanager
def _attached(fd: int, path: str) -> Iterator[None]:
    """Attach a mount at a directory for the block, and close its descriptor."""
    _attach(fd, path)
    try:
        yield
    finally:
        syscalls.unmount(path, syscalls.MNT_DETACH)


@contextmanager
def _named(directories: Sequence[str]) -> Iterator[list[str]]:
    """Give directories short names without the characters that mean something to overlayfs."""
    with ExitStack() as cleanup:
        names = []
        for path in directories:
            fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            cleanup.callback(os.close, fd)
            names.append(f"/proc/self/fd/{fd}")
        yield names


class Bind(NamedTuple):
    """The file or directory ``source`` of the machine, with all that is mounted below it.

    Unless ``devices``, no device node in it can be opened.
    """

    source: str
    target: str
    read_only: bool = False
    devices: bool = True

    def open(self) -> int:
        """Return a descriptor of the mount, attached nowhere."""
        attributes = _READ_ONLY if self.read_only else 0
        return _copy_of_mount(self.source, attributes | (0 if self.devices else syscalls.MOUNT_ATTR_NODEV))


class Tree(NamedTuple):
    """The file or directory ``path`` in ``tree``, whose symbolic links lead nowhere else.

    ``scratch`` is a directory to mount over for a moment.
    """

    tree: RootTree
    path: str
    target: str
    scratch: str
    read_only: bool = True

    def open(self) -> int:
        """Return a descriptor of the mount, attached nowhere; raise SandboxError where nothing is at the path."""
        tree = self.tree.open()
        try:
            return _part(tree, self.path, self.scratch, _READ_ONLY if self.read_only else 0)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SandboxError(f"mount at {self.target}: its source has no {self.path}") from error
        finally:
            os.close(tree)


class Secret(NamedTuple):
    """A read-only file in memory that is never swapped out; ``content`` has one character for each byte."""

    content: str
    target: str
    mode: int
    uid: int
    gid: int
    scratch: str

    def __repr__(self) -> str:
        return f"Secret({self.target!r})"

    def open(self) -> int:
        """Return a descriptor of the mount, attached nowhere; ``scratch`` is a directory to mount over for a moment."""
        memory = syscalls.new_mount("ramfs", [("mode", "700")], _NO_PRIVILEGES)
        try:
            self._write(memory)
            return _part(memory, "secret", self.scratch, _READ_ONLY)
        finally:
            os.close(memory)

    def _write(self, folder: int) -> None:
        fd = os.open("secret", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
        with open(fd, "wb") as file:
            file.write(self.content.encode("latin-1"))
            if (self.uid, self.gid) != (0, 0):
                self._give(fd)
            os.fchmod(fd, self.mode)

    def _give(self, fd: int) -> None:
        try:
            os.fchown(fd, self.uid, self.gid)
        except OSError as error:
            raise SandboxError(
                f"mount at {self.target}: this machine gives the build no ID {self.uid}:{self.gid}",
                remedy="give the user a range in /etc/subuid and /etc/subgid",
            ) from error


class FileSystem(NamedTuple):
    """A new file system of a kind that needs no device, such as ``tmpfs``, ``proc`` or ``devpts``.

    No program in it can be run, and unless ``devices`` no device node be opened.
    """

    kind: str
    target: str
    options: Sequence[tuple[str, str | None]] = ()
    devices: bool = False

    def open(self) -> int:
        """Return a descriptor of the mount, attached nowhere."""
        attributes = _NO_PRIVILEGES & ~syscalls.MOUNT_ATTR_NODEV if self.devices else _NO_PRIVILEGES
        return syscalls.new_mount(self.kind, self.options, attributes)


class Tmpfs(NamedTuple):
    """An empty directory in memory of ``size`` bytes at most, half of the machine's where that is None.

    Its mode is that of the directory that it covers, as with docker, else 1777.
    """

    target: str
    size: int | None = None
    read_only: bool = False

    def open(self) -> int:
        """Return a descriptor of the mount, attached nowhere; ``settle()`` it before it is attached."""
        options = [("source", "tmpfs"), ("mode", "1777"), *([] if self.size is None else [("size", str(self.size))])]
        return syscalls.new_mount("tmpfs", options, syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV)

    def settle(self, fd: int, path: str) -> None:
        """Make it what it is to be at ``path``."""
        if os.path.isdir(path):
            top = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
            os.fchmod(top, stat.S_IMODE(os.stat(path).st_mode))
            os.close(top)
        if self.read_only:
            syscalls.restrict_mount(fd, _READ_ONLY)


class Sysfs(NamedTuple):
    """The kernel's /sys, a new one where we own the network namespace, else the machine's; ``writable`` is for root."""

    target: str = "/sys"
    writable: bool = False

    def open(self) -> int:
        """Return a descriptor of the mount, attached nowhere."""
        try:
            return syscalls.new_mount("sysfs", [], _NO_PRIVILEGES | (0 if self.writable else _READ_ONLY))
        except PermissionError:
            return Bind("/sys", self.target, read_only=not self.writable).open()


Mount: TypeAlias = Bind | FileSystem | Sysfs | Tree | Tmpfs | Secret


def is_same_for_all(mount: Mount) -> bool:
    """Tell whether every step can be given a mount like this, whatever is to run in it."""
    return isinstance(mount, FileSystem | Sysfs) or (isinstance(mount, Bind) and mount.source.startswith("/dev/"))


_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Overlay, Folder, Bind, FileSystem, Sysfs, Tree, Tmpfs, Secret)
}


def dump(mount: Mount | RootTree) -> list[Any]:
    """Return a mount as JSON: the name of its kind and its members."""
    return [type(mount).__name__, *(dump(part) if isinstance(part, Overlay | Folder) else part for part in mount)]


def load(value: list[Any]) -> Any:
    """Return the mount that ``dump()`` wrote."""
    kind = _KINDS[value[0]]
    members = value[1:]
    if kind is Tree:
        members = [load(members[0]), *members[1:]]
    return kind(*members)


def hide(path: str) -> None:
    """Put nothing in the place of a file or directory of /proc or /sys, where it is there."""
    if not os.path.lexists(path):
        return
    if os.path.isdir(path):
        fd = syscalls.new_mount("tmpfs", [("size", "0"), ("mode", "555")], _NO_PRIVILEGES | _READ_ONLY)
    else:
        fd = _copy_of_mount("/dev/null", _READ_ONLY)
    _attach(fd, path)


def freeze(path: str) -> None:
    """Make a file or directory of /proc or /sys read-only, where it is there."""
    if os.path.lexists(path):
        _attach(_copy_of_mount(path, _READ_ONLY), path)


def _copy_of_mount(path: str, attributes: int, *, recursive: bool = True) -> int:
    fd = syscalls.open_tree(path, recursive=recursive)
    try:
        if attributes:
            syscalls.restrict_mount(fd, attributes)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _part(fd: int, path: str, scratch: str, attributes: int) -> int:
    """Return a detached copy of what is at ``path`` in the detached mount ``fd``.

    Kernels before 6.15 copy no part of a detached mount, so it is attached at ``scratch`` for that moment: only in a
    step's own mount namespace is it seen there.
    """
    syscalls.move_mount(fd, scratch)
    try:
        found = syscalls.open_in_root(fd, path, os.O_PATH)
        try:
            part = syscalls.copy_tree(found)
        finally:
            os.close(found)
    finally:
        syscalls.unmount(scratch, syscalls.MNT_DETACH)
    if attributes:
        syscalls.restrict_mount(part, attributes)
    return part


def _attach(fd: int, path: str) -> None:
    try:
        syscalls.move_mount(fd, path)
    finally:
        os.close(fd)
