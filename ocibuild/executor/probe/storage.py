"""Checks of the file system that the store is on."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

from ocibuild.executor.probe import remedies
from ocibuild.executor.probe.check import Check, Place
from ocibuild.executor.probe.trial import Refused, attempt
from ocibuild.fs.content import FICLONE
from ocibuild.owner_records import OVERRIDE_STAT
from ocibuild.sandbox import Overlay, enter, syscalls

if TYPE_CHECKING:
    from collections.abc import Callable


def check_overlay(place: Place) -> Check:
    """Mount an overlay as a build does, and remove a file of its lower directory in it."""
    return _check_overlay(place, "overlay", lambda overlay: overlay.open())


def check_overlay_without_userxattr(place: Place) -> Check:
    """Do the same without the option ``userxattr``, which a build does not need."""
    return _check_overlay(place, "overlay-without-userxattr", _open_without_userxattr)


def _check_overlay(place: Place, name: str, mount: Callable[[Overlay], int]) -> Check:
    folder = place.new_folder(name)
    trial = attempt(lambda: _use_overlay(folder, mount))
    evidence = f"{trial.seen} on {place.file_system}"
    remedy = "" if trial.passed else remedies.for_overlay(place.file_system, trial.seen)
    return Check(name, trial.passed, evidence, remedy)


def _use_overlay(folder: str, mount: Callable[[Overlay], int]) -> str:
    enter()
    lower, upper, work, scratch = (os.path.join(folder, part) for part in ("lower", "upper", "work", "scratch"))
    for path in (lower, upper, work, scratch):
        os.mkdir(path)
    os.close(os.open(os.path.join(lower, "file"), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    try:
        fd = mount(Overlay([lower], upper, work, scratch))
    except OSError as error:
        raise Refused(f"the mount is refused: {error.strerror}") from error
    try:
        os.unlink("file", dir_fd=fd)
    except OSError as error:
        raise Refused(f"mounted, but a file cannot be removed: {error.strerror}") from error
    finally:
        os.close(fd)
    return "mounted, and a file removed,"


def _open_without_userxattr(overlay: Overlay) -> int:
    assert overlay.upper is not None
    assert overlay.work is not None
    options = [("upperdir", overlay.upper), ("workdir", overlay.work), ("lowerdir", overlay.lowers[0])]
    return syscalls.new_mount("overlay", options)


def check_reflink(place: Place) -> Check:
    """Make a file that shares the blocks of another."""
    folder = place.new_folder("reflink")
    trial = attempt(lambda: _reflink(folder))
    remedy = "" if trial.passed else remedies.REFLINK
    return Check("reflink", trial.passed, f"{trial.seen} on {place.file_system}", remedy)


def _reflink(folder: str) -> str:
    source = os.open(os.path.join(folder, "source"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    os.write(source, bytes(4096))
    target = os.open(os.path.join(folder, "target"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.ioctl(target, FICLONE, source)
    return "a file shares the blocks of another"


def check_user_xattr(place: Place) -> Check:
    """Give a file and a directory the attribute that records owners."""
    folder = place.new_folder("user-xattr")
    trial = attempt(lambda: _set_xattrs(folder))
    remedy = "" if trial.passed else remedies.USER_XATTR
    return Check("user-xattr", trial.passed, f"{trial.seen} on {place.file_system}", remedy)


def _set_xattrs(folder: str) -> str:
    path = os.path.join(folder, "file")
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    for one in (path, folder):
        os.setxattr(one, OVERRIDE_STAT, b"0:0:0644")
    return f"{OVERRIDE_STAT} is kept"


def file_system_of(path: str) -> str:
    """Return the kind of the file system that ``path`` is on, as mountinfo in proc(5) names it."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return kind_in(file.read(), os.path.realpath(path))
    except OSError as error:
        return f"a file system that /proc does not name ({error.strerror})"


def kind_in(mountinfo: str, path: str) -> str:
    """Return the kind of what is mounted at ``path`` or nearest above it; the last mount lies on top."""
    deepest, kind = "", "an unknown file system"
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        point = _unescape(fields.split(" ")[4])
        if f"{path}/".startswith(f"{point.rstrip('/')}/") and len(point) >= len(deepest):
            deepest, kind = point, rest.split(" ")[0]
    return kind


def _unescape(text: str) -> str:
    """Return a name with the octal escapes of mountinfo undone."""
    for character in " \t\n\\":
        text = text.replace(f"\\{ord(character):03o}", character)
    return text


def refusal_of_store(error: OSError) -> str:
    """Return why there can be no store at a path."""
    if error.errno == errno.EROFS:
        return f"{error.filename}: the file system is read-only"
    return f"{error.filename}: {error.strerror}"
