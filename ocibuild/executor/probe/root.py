"""Checks of what root may do without a namespace of its own."""

from __future__ import annotations

import os
import stat

from ocibuild.executor.probe import remedies
from ocibuild.executor.probe.check import Check, Place
from ocibuild.executor.probe.trial import Refused, attempt

_OTHER = 12_345  # nobody in particular
_NULL = os.makedev(1, 3)


def check_chroot(place: Place) -> Check:
    """Make a directory the root."""
    folder = place.new_folder("chroot")
    trial = attempt(lambda: _change_root(folder))
    return _check("chroot", place, trial.passed, trial.seen)


def _change_root(folder: str) -> str:
    os.mkdir(os.path.join(folder, "here"))
    os.chroot(folder)
    if os.listdir("/") != ["here"]:
        raise Refused("allowed, and changes nothing")
    return "a directory is the root"


def check_chown(place: Place) -> Check:
    """Give a file to another user and group."""
    folder = place.new_folder("chown")
    trial = attempt(lambda: _give_away(folder))
    return _check("chown", place, trial.passed, trial.seen)


def _give_away(folder: str) -> str:
    path = os.path.join(folder, "file")
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    os.chown(path, _OTHER, _OTHER)
    return f"a file belongs to {_OTHER}:{_OTHER}"


def check_mknod(place: Place) -> Check:
    """Make the device node of /dev/null, and write to it."""
    folder = place.new_folder("mknod")
    trial = attempt(lambda: _make_node(folder))
    return _check("mknod", place, trial.passed, f"{trial.seen} on {place.file_system}")


def _make_node(folder: str) -> str:
    path = os.path.join(folder, "null")
    os.mknod(path, 0o600 | stat.S_IFCHR, _NULL)
    try:
        node = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(f"a device node is made, but cannot be opened: {error.strerror}") from error
    os.write(node, b"x")
    return "a device node is made and works"


def _check(name: str, place: Place, passed: bool, seen: str) -> Check:  # noqa: FBT001
    return Check(name, passed, seen, "" if passed else remedies.for_root_alone(name, place.surroundings))
