"""Things put into a tree for the time of a step, and what they covered put back after it, where nothing can be mounted.

Names are resolved inside the tree's open root; what is put back goes into the directory that it came from, wherever the
step has moved that.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from ocibuild.errors import SandboxError
from ocibuild.fs import Root, remove_entry, status_of
from ocibuild.fs.root import MAX_LINKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def placing(path: str, scratch: str, touched: list[str]) -> Iterator[Placer]:
    """Give what puts things into the tree at ``path``, which has /proc, /sys and /dev then; the block's end undoes it.

    ``scratch`` is a directory on the tree's file system. After the block ``touched`` has the names of what is as it was
    before, but for its ctime.
    """
    aside = os.path.join(scratch, "covered")
    os.mkdir(aside, 0o700)
    made: list[str] = []
    with ExitStack() as cleanup:
        root = cleanup.enter_context(Root.open(path))
        for name in ("proc", "sys", "dev"):
            root.make_directories(name, made.append)  # they stay, as with docker
        placer = Placer(root, cleanup.enter_context(Root.open(aside)).fd, cleanup)
        yield placer
    touched += [name for name in placer.touched if name not in made]


class Placer:
    """Puts things into ``root``; what is undone, by ``cleanup``, are all of them in reverse.

    ``aside`` is an open directory on the tree's file system for what is covered. ``touched`` are, once all is undone,
    the names of what is as it was before, but for its ctime.
    """

    def __init__(self, root: Root, aside: int, cleanup: ExitStack) -> None:
        self.root = root
        self.cleanup = cleanup
        self.touched: list[str] = []
        self._aside = aside
        self._count = 0

    def put(
        self,
        target: str,
        make: Callable[[int, str], None],
        *,
        folder: bool,
        take_back: Callable[[int, str], None] | None = None,
    ) -> None:
        """Have ``make`` make what is to be at ``target``, where the tree's symbolic links lead.

        It is removed at the end, or ``take_back`` may take it before. Raises SandboxError where the tree has a
        directory and ``folder`` says that this is none, or the other way round.
        """
        try:
            self._put(target, make, take_back, folder=folder)
        except OSError as error:
            raise SandboxError(f"mount at {target}: {error.strerror}") from error

    def ensure(self, target: str, *, folder: bool) -> None:
        """Have something be at ``target``, for proot to show something else there; what had to be made is removed."""
        try:
            status = self.root.lstat(self.root.resolve(target))
        except (FileNotFoundError, NotADirectoryError):
            self.put(target, _make_folder if folder else _make_file, folder=folder)
            return
        _check_kind(target, status, folder=folder)

    def _put(
        self,
        target: str,
        make: Callable[[int, str], None],
        take_back: Callable[[int, str], None] | None,
        *,
        folder: bool,
    ) -> None:
        name = self._resolve(target)
        if name in ("", "."):
            raise SandboxError(f"mount at {target}: nothing can be mounted at /")
        with self.root.parent_of(name) as (fd, last):
            parent = _Directory(os.dup(fd), name.rpartition("/")[0], self.cleanup)
        covered = self._cover(parent.fd, last, target, folder=folder)
        self.cleanup.callback(self._uncover, parent, last, covered, take_back)
        make(parent.fd, last)
        parent.seal()

    def _deepest(self, target: str) -> tuple[int, str]:
        """Return the last directory on the way to ``target`` that is there, open, and its name."""
        parts = target.strip("/").split("/")[:-1]
        while True:
            with suppress(FileNotFoundError, NotADirectoryError):
                real = self.root.resolve("/".join(parts))
                name = "" if real == "." else real
                with self.root.open_directory(name) as found:
                    return os.dup(found.fd), name
            parts.pop()

    def _resolve(self, target: str) -> str:
        """Return the real name of ``target``, whose parents are made where they are missing."""
        for _ in range(MAX_LINKS):
            parent, last, link = self._make_parent(target)
            if link is None:
                return parent if last == "." else f"{parent}/{last}" if parent else last
            target = link if link.startswith("/") else f"{parent}/{link}"
        raise SandboxError(f"{target}: more than {MAX_LINKS} symbolic links, or a loop of them")

    def _make_parent(self, target: str) -> tuple[str, str, str | None]:
        """Make the directories above ``target``; return the real name of the last, the name in it, and its link."""
        made: list[str] = []
        above = _Directory(*self._deepest(target), self.cleanup)
        self.cleanup.callback(self._remove_made, made, above)
        with self.root.make_parent_of(target, made.append) as (fd, last):
            parent = self.root.lent
            link = _link(fd, last) if last != "." else None
        above.seal()
        return parent, last, link

    def mode_at(self, target: str) -> int | None:
        """Return the mode of the directory to which ``target`` leads; None where there is none."""
        try:
            status = self.root.lstat(self.root.resolve(target))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return stat.S_IMODE(status.st_mode) if stat.S_ISDIR(status.st_mode) else None

    def _cover(self, parent: int, last: str, target: str, *, folder: bool) -> str | None:
        """Move aside what is there; return its name there."""
        there = status_of(parent, last)
        if there is None:
            return None
        _check_kind(target, there, folder=folder)
        self._count += 1
        name = f"covered-{self._count}"
        self.root.forget()
        os.rename(last, name, src_dir_fd=parent, dst_dir_fd=self._aside)
        return name

    def _uncover(
        self, parent: _Directory, last: str, covered: str | None, take_back: Callable[[int, str], None] | None
    ) -> None:
        """Remove what was put, and put back what it covered, unless the step has removed the directory of both."""
        self.root.forget()
        is_as_we_left_it = parent.is_as_sealed()
        if take_back is not None:
            take_back(parent.fd, last)
        with suppress(FileNotFoundError):
            remove_entry(parent.fd, last)
        if covered is not None:
            with suppress(FileNotFoundError):
                os.rename(covered, last, src_dir_fd=self._aside, dst_dir_fd=parent.fd)
                self.touched.append(f"{parent.name}/{last}".lstrip("/"))
        if is_as_we_left_it:
            self._restore(parent)

    def _remove_made(self, made: list[str], above: _Directory) -> None:
        """Remove the directories that were made, where nothing is in them."""
        self.root.forget()
        is_as_we_left_it = above.is_as_sealed()
        for name in reversed(made):
            try:
                with self.root.parent_of(name) as (fd, last):
                    os.rmdir(last, dir_fd=fd)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.ENOTDIR):
                    raise
                is_as_we_left_it = False
        if is_as_we_left_it:
            self._restore(above)

    def _restore(self, directory: _Directory) -> None:
        directory.restore()
        if directory.name:
            self.touched.append(directory.name)


class _Directory:
    """A directory of the tree, ``name`` there, held open to give it back the times that it has now."""

    def __init__(self, fd: int, name: str, cleanup: ExitStack) -> None:
        cleanup.callback(os.close, fd)
        self.fd = fd
        self.name = name
        self._before = os.stat(".", dir_fd=fd)
        self._sealed: tuple[int, frozenset[str]] | None = None

    def seal(self) -> None:
        """Take it as it is now for what we made of it."""
        self._sealed = self._state()

    def is_as_sealed(self) -> bool:
        """Tell whether nobody else has changed it."""
        return self._state() == self._sealed

    def restore(self) -> None:
        """Give it its times back."""
        os.utime(".", ns=(self._before.st_atime_ns, self._before.st_mtime_ns), dir_fd=self.fd)

    def _state(self) -> tuple[int, frozenset[str]]:
        """Return what is another where the names in it have changed; its time alone has too coarse a grain."""
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.fd)
        try:
            return os.fstat(fd).st_mtime_ns, frozenset(os.listdir(fd))
        finally:
            os.close(fd)


def _check_kind(target: str, there: os.stat_result, *, folder: bool) -> None:
    if stat.S_ISDIR(there.st_mode) != folder:
        kinds = ("no directory", "one") if folder else ("a directory", "none")
        raise SandboxError(f"mount at {target}: the image has {kinds[0]} there, and the source is {kinds[1]}")


def _make_folder(parent: int, name: str) -> None:
    os.mkdir(name, 0o755, dir_fd=parent)


def _make_file(parent: int, name: str) -> None:
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=parent))


def _link(fd: int, name: str) -> str | None:
    """Return where a symbolic link leads; None for what is none, or not there."""
    try:
        return os.readlink(name, dir_fd=fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise
        return None
