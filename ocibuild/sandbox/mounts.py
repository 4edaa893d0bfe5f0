"""Mounts as values: each can say what it is, and open itself as a detached mount.

Sources are opened before the root is changed and attached after it, so that the symbolic links of a hostile image are
followed inside that image and nowhere else.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ocibuild.sandbox import syscalls

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_PRIVILEGES = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV | syscalls.MOUNT_ATTR_NOEXEC
_READ_ONLY = syscalls.MOUNT_ATTR_RDONLY


class Overlay(NamedTuple):
    """The directories ``lowers``, topmost first, under ``upper``; read-only where that is None.

    Device nodes in it cannot be opened: root's steps may make them for their layer, not use them on this machine.
    What the layers cover is kept in ``user.overlay.`` attributes whoever mounts it: so the layers are the same for root
    and for others, and the kernel offers no redirects or metadata-only copies, which a layer could not hold.
    ``scratch`` is an empty directory, only used where it must be, as one more lower directory or a mount point.
    """

    lowers: list[str]
    upper: str | None
    work: str | None
    scratch: str

    def open(self) -> int:
        """Return a descriptor of the mount, attached nowhere."""
        try:
            return syscalls.new_mount("overlay", self._options(), syscalls.MOUNT_ATTR_NODEV)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return self._open_with_string()

    def _options(self) -> list[tuple[str, str | None]]:
        options: list[tuple[str, str | None]] = [("userxattr", None)]
        options += [("lowerdir+", lower) for lower in self._at_least_two()]
        if self.upper is not None:
            options += [("upperdir", self.upper), ("workdir", self.work)]
        return options

    def _open_with_string(self) -> int:
        """Mount as kernels before 6.5 want it: all in one string of a page at most, so through short names."""
        anchors: dict[str, int] = {}
        try:
            lowers = ":".join(_short(lower, anchors) for lower in self._at_least_two())
            options = f"userxattr,lowerdir={lowers}"
            if self.upper is not None and self.work is not None:
                options += f",upperdir={_short(self.upper, anchors)},workdir={_short(self.work, anchors)}"
            syscalls.mount("overlay", self.scratch, "overlay", 0, options)
        finally:
            for fd in anchors.values():
                os.close(fd)
        try:
            fd = syscalls.open_tree(self.scratch, recursive=False)
            syscalls.restrict_mount(fd, syscalls.MOUNT_ATTR_NODEV)
            return fd
        finally:
            syscalls.unmount(self.scratch, syscalls.MNT_DETACH)

    def _at_least_two(self) -> list[str]:
        # without an upper directory the kernel wants two lower ones
        padding = self.upper is None and len(self.lowers) < 2
        return [*self.lowers, *([self.scratch] * (2 - len(self.lowers)) if padding else [])]


def _short(path: str, anchors: dict[str, int]) -> str:
    folder, name = os.path.split(os.path.dirname(path))
    if folder not in anchors:
        anchors[folder] = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{anchors[folder]}/{name}/{os.path.basename(path)}"


class Bind(NamedTuple):
    """The file or directory ``source`` of the machine, with all that is mounted below it."""

    source: str
    target: str
    read_only: bool = False

    def open(self) -> int:
        """Return a descriptor of the mount, attached nowhere."""
        fd = syscalls.open_tree(self.source, recursive=True)
        if self.read_only:
            syscalls.restrict_mount(fd, _READ_ONLY)
        return fd


class FileSystem(NamedTuple):
    """A new file system of a kind that needs no device, such as ``tmpfs``, ``proc`` or ``devpts``."""

    kind: str
    target: str
    options: Sequence[tuple[str, str | None]] = ()
    attributes: int = _NO_PRIVILEGES

    def open(self) -> int:
        """Return a descriptor of the mount, attached nowhere."""
        return syscalls.new_mount(self.kind, self.options, self.attributes)


class Sysfs(NamedTuple):
    """The kernel's /sys, read-only: a new one where we own the network namespace, else the machine's."""

    target: str = "/sys"

    def open(self) -> int:
        """Return a descriptor of the mount, attached nowhere."""
        try:
            return syscalls.new_mount("sysfs", [], _NO_PRIVILEGES | _READ_ONLY)
        except PermissionError:
            return Bind("/sys", self.target, read_only=True).open()


Mount: TypeAlias = Bind | FileSystem | Sysfs

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Overlay, Bind, FileSystem, Sysfs)}


def dump(mount: Mount | Overlay) -> list[Any]:
    """Return a mount as JSON: the name of its kind and its members."""
    return [type(mount).__name__, *mount]


def load(value: list[Any]) -> Any:
    """Return the mount that ``dump()`` wrote."""
    return _KINDS[value[0]](*value[1:])


def hide(path: str) -> None:
    """Put nothing in the place of a file or directory of /proc or /sys, where it is there."""
    if not os.path.lexists(path):
        return
    if os.path.isdir(path):
        fd = syscalls.new_mount("tmpfs", [("size", "0"), ("mode", "555")], _NO_PRIVILEGES | _READ_ONLY)
    else:
        fd = syscalls.open_tree("/dev/null", recursive=False)
    _attach(fd, path)


def freeze(path: str) -> None:
    """Make a file or directory of /proc or /sys read-only, where it is there."""
    if os.path.lexists(path):
        fd = syscalls.open_tree(path, recursive=True)
        syscalls.restrict_mount(fd, _READ_ONLY)
        _attach(fd, path)


def _attach(fd: int, path: str) -> None:
    try:
        syscalls.move_mount(fd, path)
    finally:
        os.close(fd)
