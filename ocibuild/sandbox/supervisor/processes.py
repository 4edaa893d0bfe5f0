"""The processes of a step as /proc shows them: their memory, their directories, and who they are."""

from __future__ import annotations

import errno
import os
import resource
from contextlib import suppress
from typing import TYPE_CHECKING

from ocibuild.sandbox import syscalls
from ocibuild.sandbox.ulimits import RLIMIT_LOCKS

if TYPE_CHECKING:
    from ocibuild.sandbox.supervisor.credentials import Book, Credentials

_PAGE = 4096
_LONGEST_PATH = 4096
_USUAL_PATH = 256


def begin_with_first_credentials() -> None:
    """Make this process, and what it starts, one with the first set of IDs in a book."""
    _, most = resource.getrlimit(RLIMIT_LOCKS)
    resource.setrlimit(RLIMIT_LOCKS, (0, most))


class Processes:
    """Processes by the number of one of their threads, in the PID namespace of the directory ``proc``.

    The limit on file locks limits nothing, and yet each process has one, and hands it on to its children and to the
    programs that it executes: so it holds the number of the process's IDs.
    """

    def __init__(self, proc: int, book: Book) -> None:
        self._proc = proc
        self._reader: syscalls.MemoryReader | None = syscalls.MemoryReader(_LONGEST_PATH)
        self._book = book

    def credentials(self, pid: int) -> Credentials:
        """Return who a process is."""
        return self._book[resource.prlimit(pid, RLIMIT_LOCKS)[0]]

    def become(self, pid: int, credentials: Credentials) -> None:
        """Make a process be somebody, and what it starts from now on."""
        number = self._book.number(credentials)
        _, most = resource.prlimit(pid, RLIMIT_LOCKS)
        resource.prlimit(pid, RLIMIT_LOCKS, (number, most))

    def text(self, pid: int, address: int) -> str:
        """Return the path at an address; raise OSError as a system call would that cannot read it."""
        found = self._read(pid, address, min(_PAGE - address % _PAGE, _USUAL_PATH))
        while (end := found.find(0)) < 0:
            if len(found) >= _LONGEST_PATH:
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            at = address + len(found)
            found += self._read(pid, at, _PAGE - at % _PAGE)
        return os.fsdecode(found[:end])

    def read(self, pid: int, address: int, size: int) -> bytes:
        """Return bytes of a process's memory; raise OSError."""
        found = b""
        while len(found) < size:
            found += self._read(pid, address + len(found), min(size - len(found), _LONGEST_PATH))
        return found

    def _read(self, pid: int, address: int, size: int) -> bytes:
        try:
            found = self._read_somehow(pid, address, size)
        except (OSError, OverflowError) as error:
            raise _fault() from error
        if not found:
            raise _fault()
        return found

    def _read_somehow(self, pid: int, address: int, size: int) -> bytes:
        """Read by the quick call; where a container's filter refuses that, as Debian's docker does, from a file."""
        if self._reader is not None:
            try:
                return self._reader.read(pid, address, size)
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOSYS):
                    raise
                self._reader = None
        memory = os.open(f"{pid}/mem", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        try:
            return os.pread(memory, size, address)
        finally:
            os.close(memory)

    def write(self, pid: int, address: int, content: bytes) -> None:
        """Put bytes into a process's memory; raise OSError."""
        memory = os.open(f"{pid}/mem", os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._proc)
        try:
            os.pwrite(memory, content, address)
        except (OSError, OverflowError) as error:
            raise _fault() from error
        finally:
            os.close(memory)

    def umask(self, pid: int) -> int:
        """Return what a process takes from the modes of its new files."""
        fd = os.open(f"{pid}/status", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        try:
            text = os.read(fd, _PAGE)
        finally:
            os.close(fd)
        with suppress(IndexError, ValueError):
            return int(text.partition(b"\nUmask:")[2].split(None, 1)[0], 8)
        return 0o022


def _fault() -> OSError:
    return OSError(errno.EFAULT, os.strerror(errno.EFAULT))
