"""A step's terminal, shown on the one that this process has."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import termios
import tty
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PIECE = 64 << 10


def users_terminal() -> int | None:
    """Return the standard stream to show a step's terminal on; None where the user has no terminal to type at."""
    if not os.isatty(0):
        return None
    return next((fd for fd in (1, 2, 0) if os.isatty(fd) and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE), None)


def relay(terminal: int, *, interactive: bool, shown_on: int = 1, heard: Callable[[bytes], None] | None = None) -> bool:
    """Show what a step writes to its terminal on ours, until nothing of it has the terminal open any more.

    Takes over ``terminal``, the other end. An ``interactive`` step gets all that is typed meanwhile, keys such as
    Ctrl-C too. Its terminal is as large as ours, and follows it. ``heard`` is told what is shown. Returns False where
    ours went away before the end. For the main thread.
    """
    with ExitStack() as cleanup:
        cleanup.callback(os.close, terminal)
        cleanup.enter_context(_same_size(terminal))
        if interactive:
            cleanup.enter_context(_raw(0))
        os.set_blocking(terminal, False)
        return _pass_on(terminal, interactive=interactive, shown_on=shown_on, heard=heard)


def _pass_on(terminal: int, *, interactive: bool, shown_on: int, heard: Callable[[bytes], None] | None) -> bool:
    typed = bytearray()  # and not yet taken by the step
    poll = select.poll()
    while True:
        poll.register(terminal, select.POLLIN | (select.POLLOUT if typed else 0))
        if interactive and not typed:
            poll.register(0, select.POLLIN)
        for fd, events in poll.poll():
            if fd == 0:
                typed += _read(0)
                if not typed:  # raw, it has an end only where it is hung up
                    return False
                poll.unregister(0)
                continue
            if events & select.POLLOUT:
                with suppress(BlockingIOError):
                    del typed[: os.write(terminal, typed)]
            if events & ~select.POLLOUT:
                text = _read(terminal)
                if not text:
                    return True
                if heard is not None:
                    heard(text)
                write_all(shown_on, text)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _PIECE)
    except OSError:  # EIO: nobody has the other end of a terminal
        return b""


def write_all(fd: int, text: bytes) -> None:
    """Write all of ``text``; raises OSError."""
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(fd, rest) :]


@contextmanager
def _raw(fd: int) -> Iterator[None]:
    """Have a terminal give each key as it is, and be again as it was at the end."""
    before = termios.tcgetattr(fd)
    tty.setraw(fd, termios.TCSANOW)
    try:
        yield
    finally:
        with suppress(termios.error):  # it is gone
            termios.tcsetattr(fd, termios.TCSADRAIN, before)


def own_size() -> tuple[int, int]:
    """Return the rows and columns of our terminal, 0 where we have none."""
    ours = _ours()
    return (0, 0) if ours is None else termios.tcgetwinsize(ours)


def _ours() -> int | None:
    return next((fd for fd in (1, 0, 2) if os.isatty(fd)), None)


@contextmanager
def _same_size(terminal: int) -> Iterator[None]:
    """Give a terminal the size that ours has, now and whenever that changes."""
    ours = _ours()
    if ours is None:
        yield
        return

    def follow(*_: object) -> None:
        termios.tcsetwinsize(terminal, termios.tcgetwinsize(ours))

    before = signal.signal(signal.SIGWINCH, follow)
    try:
        follow()
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
