"""A place in a tree that moves from directory to directory, with one descriptor however deep that is."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Self

from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OVERRIDES_MODES = 1 << 1  # CAP_DAC_OVERRIDE; see capabilities(7)


class _Step(NamedTuple):
    """One step down: the name, the directory that it was taken in, and the mode to give back on the way up, if any."""

    name: str
    above: tuple[int, int]
    mode: int | None


class Cursor:
    """``fd`` is the directory where it stands, ``top`` the one where it began; no symlink is followed.

    Close it: it goes back to the top first.
    A directory of ours that its mode closes to us is open while the cursor is below it, and as before when it has left:
    ``lifted`` names these, as their ctime is another now.
    """

    def __init__(self, path: str | int, *, is_bound: bool | None = None) -> None:
        """Stand in the directory ``path``, which is ours and trusted, or in an open one.

        ``is_bound`` says whether modes bind us, where that is known already.
        """
        self.top = os.open(path, _DIRECTORY) if isinstance(path, str) else os.open(".", _DIRECTORY, dir_fd=path)
        self.fd = os.dup(self.top)
        self.lifted: list[str] = []
        self._is_bound = is_bound_by_modes() if is_bound is None else is_bound
        self._trail: list[_Step] = []
        self._identity = _identity(os.fstat(self.fd))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Go back to the top, and let go; safe to repeat."""
        if self.fd < 0:
            return
        try:
            while self._trail:
                self.up()
        finally:
            os.close(self.fd)
            os.close(self.top)
            self.fd = -1

    def another(self) -> Self:
        """Return one more that begins where this one began; close that one first."""
        return type(self)(self.top, is_bound=self._is_bound)

    def down(self, name: str) -> None:
        """Go into the directory ``name`` of this one; raises OSError."""
        mode = self._lift(name) if self._is_bound else None
        below = os.open(name, _DIRECTORY, dir_fd=self.fd)
        os.close(self.fd)
        self.fd = below
        self._trail.append(_Step(name, self._identity, mode))
        self._identity = _identity(os.fstat(below))

    def up(self) -> None:
        """Go back to the directory above; raises OSError where somebody has moved this one meanwhile."""
        step = self._trail.pop()
        above = self._open_above()
        os.close(self.fd)
        self.fd = above
        self._identity = _identity(os.fstat(above))
        if self._identity != step.above:
            raise OSError(f"the directory {step.name!r} was moved while its tree was being read")
        if step.mode is not None:
            os.chmod(step.name, step.mode, dir_fd=above)
            self.lifted.append("/".join([*(earlier.name for earlier in self._trail), step.name]))

    @property
    def mode(self) -> int:
        """The permission bits of this directory, as they are when nobody has opened it to us."""
        lifted = self._trail[-1].mode if self._trail else None
        return stat.S_IMODE(os.fstat(self.fd).st_mode) if lifted is None else lifted

    def keep_mode(self) -> None:
        """Let this directory have the mode that it has now, whatever it was before we came."""
        if self._trail:
            self._trail[-1] = self._trail[-1]._replace(mode=None)

    def go(self, names: Sequence[str]) -> None:
        """Go to the directory that these names lead to from the top, the shortest way."""
        common = 0
        for step, name in zip(self._trail, names, strict=False):
            if step.name != name:
                break
            common += 1
        while len(self._trail) > common:
            self.up()
        for name in names[common:]:
            self.down(name)

    def to_parent_of(self, name: str) -> str:
        """Go to the directory that holds the clean ``name``, and return the last component."""
        *parents, last = name.split("/")
        self.go(parents)
        return last

    def _open_above(self) -> int:
        try:
            return os.open("..", _DIRECTORY, dir_fd=self.fd)
        except PermissionError:  # this directory has been closed to us since we came
            mode = stat.S_IMODE(os.fstat(self.fd).st_mode)
            os.fchmod(self.fd, mode | 0o700)
            try:
                return os.open("..", _DIRECTORY, dir_fd=self.fd)
            finally:
                os.fchmod(self.fd, mode)

    def _lift(self, name: str) -> int | None:
        """Open a directory of ours to us; return the mode that it had, None where it was open."""
        mode = stat.S_IMODE(os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_mode)
        if mode & 0o700 == 0o700:
            return None
        os.chmod(name, mode | 0o700, dir_fd=self.fd)
        return mode


def is_bound_by_modes() -> bool:
    """Say whether the modes of our own files bind this process."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            capabilities = next(line.split()[1] for line in status if line.startswith("CapEff:"))
    except OSError:
        return os.geteuid() != 0
    return not int(capabilities, 16) & _OVERRIDES_MODES


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
