"""How a supervisor comes to the files that a process names."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Protocol

from ocibuild.sandbox import syscalls
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from ocibuild.sandbox.supervisor.calls import Place

_MOST_LINKS = 40


class Path(NamedTuple):
    """A path for this process, from its current directory as it is now; ``follow`` says whether a last link counts."""

    name: str
    follow: bool


class Elsewhere(Exception):
    """A file is not in the step's tree, so its owner is no concern of ours; it may be looked at."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path


class View(Protocol):
    """The step's files, as this process can come to them."""

    def go(self, pid: int, path: str, place: Place) -> Path:
        """Return the way to a file that a thread names, ``path`` being what is at its address, and go there.

        Raises OSError as the call would, and Elsewhere.
        """

    def go_to_own(self, pid: int, path: str) -> Path | None:
        """Return the way to what a path means to a thread alone, such as /proc/self/fd/1; None where it is not so."""

    def expect_other_roots(self) -> None:
        """Hear that from now on a process may have a root of its own."""


def _base(pid: int, place: Place) -> str:
    """Return the way from /proc to where a thread's relative path starts."""
    return f"{pid}/cwd" if place.dir_fd == syscalls.AT_FDCWD else f"{pid}/fd/{place.dir_fd}"


class SameRoot:
    """The step's root is this process's own, in the same mount namespace, until a process takes another."""

    def __init__(self, proc: int) -> None:
        self._proc = proc
        self._root = os.stat("/")
        self._several_roots = False

    def expect_other_roots(self) -> None:
        """See View."""
        self._several_roots = True

    def go(self, pid: int, path: str, place: Place) -> Path:
        """See View."""
        if self._several_roots:
            self._take_root(pid)
        if path.startswith("/"):
            return Path(path, place.follow)
        base = _base(pid, place)
        os.fchdir(self._proc)
        if not path:
            return Path(base, follow=True)
        try:
            os.chdir(base)
        except FileNotFoundError as error:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from error
        return Path(path, place.follow)

    def go_to_own(self, pid: int, path: str) -> Path | None:
        """See View: the name ``self`` means nobody to us, as our PID namespace is another than the step's."""
        for _ in range(_MOST_LINKS):
            if path.startswith("/dev/fd/"):
                path = f"/proc/self{path.removeprefix('/dev')}"
            if path.startswith("/proc/self/"):
                os.fchdir(self._proc)
                return Path(path.replace("/proc/self", str(pid), 1), follow=True)
            try:
                path = os.path.join(os.path.dirname(path), os.readlink(path))
            except OSError:
                break
        return None

    def _take_root(self, pid: int) -> None:
        """Make the process's root this one's too."""
        root = os.stat(f"{pid}/root", dir_fd=self._proc)
        if (root.st_ino, root.st_dev) != (self._root.st_ino, self._root.st_dev):
            os.fchdir(self._proc)
            os.chdir(f"{pid}/root")
            os.chroot(".")
            self._root = root


class BelowFolder:
    """The step's root is a folder of the machine, and something like proot has put the machine's paths into its calls.

    What it names is followed no further, and nothing outside the folder is touched.
    """

    def __init__(self, proc: int, folder: str) -> None:
        self._proc = proc
        self._folder = os.path.realpath(folder)
        self._fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def go_to_own(self, pid: int, path: str) -> Path | None:
        """See View: such paths do not come here."""

    def expect_other_roots(self) -> None:
        """See View: the paths that come here are the machine's, whatever root a process believes in."""

    def go(self, pid: int, path: str, place: Place) -> Path:
        """See View."""
        if not path:
            os.fchdir(self._proc)
            found = Path(_base(pid, place), follow=True)
            self._below(os.readlink(found.name), found)
            return found
        parent, _, last = self._below(path, Path(path, place.follow)).rstrip("/").rpartition("/")
        fd = syscalls.open_beneath(self._fd, parent or ".", os.O_PATH | os.O_DIRECTORY)
        try:
            os.fchdir(fd)
        finally:
            os.close(fd)
        return Path(last or ".", follow=False)

    def _below(self, path: str, found: Path) -> str:
        """Return a path of the machine as one that is relative to the folder; ``found`` is the way to it elsewhere."""
        if path == self._folder:
            return ""
        if not path.startswith(f"{self._folder}/"):
            raise Elsewhere(found)
        return path[len(self._folder) + 1 :]
