"""What a step finds in its root file system: mounts at their targets, links, and what is the machine's hidden."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ocibuild.errors import SandboxError
from ocibuild.sandbox import mounts, syscalls
from ocibuild.sandbox.bounds import bound_processes
from ocibuild.sandbox.program import explain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.sandbox.mounts import Mount

# what docker hides and freezes: the machine's, not the step's
_HIDDEN = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
_FROZEN = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


STAGE = "/proc"
"""Where file systems are put together aside: what is covered meanwhile is what they hold themselves."""


def stage(system: Sequence[Mount], links: Sequence[tuple[str, str]], *, confined: bool) -> list[tuple[int, str]]:
    """Put mounts and links together aside; return detached copies of the topmost with all in them, and their targets.

    With ``confined``, hide and freeze what is the machine's in them. To be called in a mount namespace of one's own,
    before anything else is done in it; raises OSError.
    """
    if not system:
        return []
    opened = [(mount.open(), mount.target) for mount in system]
    aside = syscalls.new_mount("tmpfs", [("mode", "755")])
    syscalls.move_mount(aside, STAGE)
    os.close(aside)
    os.symlink("proc/self", f"{STAGE}/self")  # as ever, for who finds descriptors there
    for fd, target in opened:
        _attach(fd, STAGE + target)
    for target, path in links:
        os.symlink(target, STAGE + path)
    bound_processes(STAGE)
    if confined:
        confine(STAGE)
    topmost = [target for _, target in opened if not any(target.startswith(f"{other}/") for _, other in opened)]
    return [(syscalls.open_tree(STAGE + target, recursive=True), target) for target in topmost]


def furnish(opened: Sequence[tuple[int, str]]) -> list[str]:
    """Attach mounts; return the targets of files that had to be made.

    A directory that had to be made, such as /proc, stays in the tree, as with docker.
    """
    created: list[str] = []
    for fd, target in opened:
        stays = stat.S_ISDIR(os.fstat(fd).st_mode)
        made = _attach(fd, target)
        created += [] if stays else made
    return created


def confine(root: str) -> None:
    """Hide and freeze what is the machine's in the /proc and /sys below ``root``."""
    for path in _HIDDEN:
        mounts.hide(root + path)
    for path in _FROZEN:
        mounts.freeze(root + path)


def place(fd: int, mount: Mount) -> list[str]:
    """Attach a mount that the step asks for, where the symbolic links at its target lead; return what was made.

    Raises SandboxError for a place in /proc, which we read ourselves and which confines the step.
    """
    path = os.path.realpath(mount.target)
    if path == "/" or f"{path}/".startswith("/proc/"):
        raise SandboxError(f"mount at {mount.target}: nothing can be mounted at {path}")
    try:
        if os.path.lexists(path) and os.path.isdir(path) != stat.S_ISDIR(os.fstat(fd).st_mode):
            kinds = ("a directory", "none") if os.path.isdir(path) else ("no directory", "one")
            raise SandboxError(f"mount at {mount.target}: the image has {kinds[0]} there, and the source is {kinds[1]}")
        if isinstance(mount, mounts.Tmpfs):
            mount.settle(fd, path)
        return _attach(fd, path)
    except OSError as error:
        raise SandboxError(f"mount at {mount.target}: {explain(error)}") from error


def _attach(fd: int, target: str) -> list[str]:
    """Attach a mount at ``target``, made where the image has nothing there; return what was made."""
    created: list[str] = []
    try:
        syscalls.move_mount(fd, target)
    except FileNotFoundError:
        created = _make_target(target, folder=stat.S_ISDIR(os.fstat(fd).st_mode))
        syscalls.move_mount(fd, target)
    finally:
        os.close(fd)
    return created


def _make_target(target: str, *, folder: bool) -> list[str]:
    path = os.path.realpath(target)
    missing = [path]
    while not os.path.lexists(parent := os.path.dirname(missing[-1])):
        missing.append(parent)
    for parent in reversed(missing[1:]):
        os.mkdir(parent, 0o755)
    if folder:
        os.mkdir(path, 0o755)
    else:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    in_tree = os.stat(os.path.dirname(missing[-1])).st_dev == os.stat("/").st_dev
    return missing if in_tree else []
