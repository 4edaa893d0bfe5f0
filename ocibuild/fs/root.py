"""An open directory that nothing leaves: every name is resolved below its descriptor, one component at a time.

A name may come from a stranger. It is never joined to a path: each component is opened with ``O_NOFOLLOW`` below the
descriptor of the one before it, symlinks are read and followed by hand, ``..`` stops at the root and an absolute target
starts there. So it makes no difference what the names say, nor what the tree holds.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ocibuild.errors import UnsafePath
from ocibuild.fs.tree import remove_entry, sorted_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

MAX_LINKS = 40
"""Symlinks followed for one name, as in Linux: see path_resolution(7)."""
MAX_STEPS = 4096
"""Directories opened for one name; a chain of long symlinks could ask for many more."""
CACHED_DIRECTORIES = 64

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Root:
    """A directory held open; all names are relative to it, with or without a leading slash.

    Descriptors of directories are kept for the next name in the same directory, so whoever removes or replaces a
    directory or a symlink other than through this object calls ``forget()``. Not to be shared between threads.
    """

    def __init__(self, fd: int) -> None:
        """Take over ``fd``, an open directory."""
        self.fd = fd
        self.lent = ""
        """The real name of the directory that was borrowed last, empty for the root itself."""
        self._cached: dict[str, tuple[int, str]] = {}
        self._evicted = -1

    @classmethod
    def open(cls, path: str | bytes | os.PathLike[str], *, dir_fd: int | None = None) -> Self:
        """Open ``path``, which is ours and trusted; raises OSError. Whoever opens it closes it."""
        return cls(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=dir_fd))

    def close(self) -> None:
        """Close this directory; safe to repeat."""
        self.forget()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def forget(self) -> None:
        """Drop the descriptors of directories, as their names may lead elsewhere now."""
        while self._cached:
            os.close(self._cached.popitem()[1][0])
        if self._evicted >= 0:
            os.close(self._evicted)
            self._evicted = -1

    @contextmanager
    def parent_of(self, name: str) -> Iterator[tuple[int, str]]:
        """Give the descriptor of the directory that holds ``name``, and its last component, which is not followed.

        The root itself is ``.`` in itself. Raises FileNotFoundError or NotADirectoryError for a parent that is not a
        directory, UnsafePath for a loop.
        """
        fd, last = self.borrow_parent(name)
        fd = os.dup(fd)
        try:
            yield fd, last
        finally:
            os.close(fd)

    @contextmanager
    def make_parent_of(self, name: str, made: Callable[[str], None] | None = None) -> Iterator[tuple[int, str]]:
        """Like ``parent_of``, but make the directories that are missing; ``made`` hears the real name of each."""
        fd, last = self.borrow_parent(name, make=True, made=made)
        fd = os.dup(fd)
        try:
            yield fd, last
        finally:
            os.close(fd)

    def borrow_parent(
        self, name: str, *, make: bool = False, made: Callable[[str], None] | None = None
    ) -> tuple[int, str]:
        """Like ``parent_of`` or ``make_parent_of``, but the descriptor stays ours: good until the call after next.

        This is for unpacking, where a context manager for each of a million names would take most of the time.
        """
        parent, _, last = name.rstrip("/").rpartition("/")
        if last in ("", ".", ".."):
            return self._borrow(self.resolve(name), make=make, made=made), "."
        return self._borrow(parent, make=make, made=made), last

    def resolve(self, name: str) -> str:
        """Return the real name of ``name``: no symlink in it, no dot, no leading slash; ``.`` for the root.

        The last component is followed too, and stays as it is written where it does not exist; raises FileNotFoundError
        or NotADirectoryError for a parent that is not a directory, UnsafePath for a loop.
        """
        fd, names = self._walk(name, directory=False)
        os.close(fd)
        return "/".join(names) or "."

    def lstat(self, name: str) -> os.stat_result:
        """Return the status of ``name`` itself, a symlink where it is one; raises OSError."""
        fd, last = self.borrow_parent(name)
        return os.stat(last, dir_fd=fd, follow_symlinks=False)

    def readlink(self, name: str) -> str:
        """Return the target of the symlink ``name``, as it is written there; raises OSError."""
        fd, last = self.borrow_parent(name)
        return os.readlink(last, dir_fd=fd)

    def open_file(self, name: str, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
        """Open ``name`` and return its descriptor; a symlink in its place is refused with ELOOP.

        ``O_NONBLOCK`` is set, so that a FIFO does not make us wait.
        """
        fd, last = self.borrow_parent(name)
        return os.open(last, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, mode, dir_fd=fd)

    def open_directory(self, name: str) -> Root:
        """Return the directory ``name`` (symlinks followed, inside this root) as a root of its own."""
        return Root.open(".", dir_fd=self._borrow(name))

    def make_directories(self, name: str, made: Callable[[str], None] | None = None) -> None:
        """Make ``name`` and its parents where they are missing; ``made`` hears the real name of each new one."""
        self._borrow(name, make=True, made=made)

    def remove(self, name: str) -> None:
        """Remove ``name``, with all that it holds where it is a directory; raises FileNotFoundError, UnsafePath."""
        fd, last = self.borrow_parent(name)
        if last == ".":
            raise UnsafePath(f"{name!r} is the root directory, which cannot be removed")
        self.remove_at(fd, last)

    def remove_at(self, dir_fd: int, last: str) -> None:
        """Remove the component ``last`` of the borrowed directory ``dir_fd``; it is not good any more after that."""
        if remove_entry(dir_fd, last) in (stat.S_IFDIR, stat.S_IFLNK):
            self.forget()

    def walk(self, name: str = ".") -> Iterator[tuple[str, os.stat_result]]:
        """Yield the name and status of each thing below the directory ``name``, in order of its components' bytes.

        A directory comes before what it holds; symlinks are not followed. A directory that the reader removes as it
        passes is not entered.
        """
        pending = [(name if name != "." else "", True)]
        while pending:
            here, is_top = pending.pop()
            status = self._status_of_walked(here)
            if status is None:
                continue
            if not is_top:
                yield here, status
            if stat.S_ISDIR(status.st_mode):
                prefix = f"{here}/" if here else ""
                pending += [(prefix + child, False) for child in reversed(self._children(here))]

    def _status_of_walked(self, name: str) -> os.stat_result | None:
        try:
            return self.lstat(name or ".")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _children(self, name: str) -> list[str]:
        try:
            fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._borrow(name))
        except FileNotFoundError:
            return []
        try:
            return sorted_entries(fd)
        finally:
            os.close(fd)

    def _borrow(self, name: str, *, make: bool = False, made: Callable[[str], None] | None = None) -> int:
        """Return a descriptor of the directory ``name`` that the cache owns."""
        if not name:
            self.lent = ""
            return self.fd
        found = self._cached.get(name) or self._descend(name)
        if found is None:
            fd, names = self._walk(name, make=make, made=made)
            found = fd, "/".join(names)
        if name not in self._cached:
            if len(self._cached) >= CACHED_DIRECTORIES:
                self._evict()
            self._cached[name] = found
        fd, self.lent = found
        return fd

    def _evict(self) -> None:
        """Let the oldest descriptor go, but close it one eviction later: it may be the one that was lent last."""
        if self._evicted >= 0:
            os.close(self._evicted)
        self._evicted, _ = self._cached.pop(next(iter(self._cached)))

    def _descend(self, name: str) -> tuple[int, str] | None:
        """Open the directory ``name`` the quick way: one step down from its parent; None where that is not enough."""
        parent, _, last = name.rpartition("/")
        here, real = self._cached.get(parent, (None, "")) if parent else (self.fd, "")
        if here is None or last in ("", ".", ".."):
            return None
        try:
            return os.open(last, _DIRECTORY, dir_fd=here), f"{real}/{last}" if real else last
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _walk(
        self,
        name: str,
        *,
        directory: bool = True,
        make: bool = False,
        made: Callable[[str], None] | None = None,
    ) -> tuple[int, list[str]]:
        """Return a new descriptor of the last directory of ``name``, and the real components of the whole.

        Unless ``directory``, the last component may be anything, or missing.
        """
        walker = _Walker(self.fd, name)
        try:
            while walker.pending:
                walker.step(directory=directory, make=make, made=made)
        except BaseException:
            os.close(walker.fd)
            raise
        return walker.fd, walker.names


class _Walker:
    """Where the resolution of one name has got to: ``fd`` is the directory that the real ``names`` lead to."""

    def __init__(self, root: int, name: str) -> None:
        self.name = name
        self.root = root
        self.fd = os.dup(root)
        self.names: list[str] = []
        self.pending = name.split("/")[::-1]
        self.links = 0
        self.steps = 0

    def step(self, *, directory: bool, make: bool, made: Callable[[str], None] | None) -> None:
        """Resolve one component more."""
        part = self.pending.pop()
        if part in ("", "."):
            return
        if part == "..":
            self._up()
            return
        try:
            self._enter(part)
        except NotADirectoryError:
            target = self._target(part)
            if target is not None:
                self._follow(target)
            elif not directory and not any(self.pending):
                self.names.append(part)
            else:
                raise
        except FileNotFoundError:
            if make:
                self._make(part, made)
            elif not directory and not any(self.pending):
                self.names.append(part)
            else:
                raise

    def _enter(self, part: str) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise UnsafePath(f"{_shown(self.name)}: the symbolic links in it are too long")
        try:
            below = os.open(part, _DIRECTORY, dir_fd=self.fd)
        except OSError as error:
            error.filename = "/".join([*self.names, part])
            raise
        os.close(self.fd)
        self.fd = below
        self.names.append(part)

    def _up(self) -> None:
        """Go to the parent from the top again: ``..`` of the system would follow a directory moved meanwhile."""
        names, self.names = self.names[:-1], []
        self._back_to_root()
        for part in names:
            self._enter(part)

    def _back_to_root(self) -> None:
        os.close(self.fd)
        self.fd = os.dup(self.root)
        self.names = []

    def _target(self, part: str) -> str | None:
        """Return the target of ``part`` where it is a symlink."""
        try:
            return os.readlink(part, dir_fd=self.fd)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return None

    def _follow(self, target: str) -> None:
        self.links += 1
        if self.links > MAX_LINKS:
            raise UnsafePath(f"{_shown(self.name)}: more than {MAX_LINKS} symbolic links, or a loop of them")
        if target.startswith("/"):
            self._back_to_root()
        self.pending += target.split("/")[::-1]

    def _make(self, part: str, made: Callable[[str], None] | None) -> None:
        os.mkdir(part, 0o755, dir_fd=self.fd)
        self._enter(part)
        if made is not None:
            made("/".join(self.names))


def remove_path(path: str) -> None:
    """Remove what is at ``path``, which is ours and trusted, with all that it holds; nothing need be there."""
    with suppress(FileNotFoundError), Root.open(os.path.dirname(path)) as root:
        root.remove(os.path.basename(path))


def _shown(name: str) -> str:
    return repr(name if len(name) <= 200 else name[:200] + "…")
