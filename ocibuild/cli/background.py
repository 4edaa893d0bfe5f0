"""A command that goes on in a process of its own when this one has ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def in_background(work: Callable[[Callable[[str], None]], int], *, has_input: bool = False) -> tuple[str, int]:
    """Do ``work`` in a process without streams, and wait until it has begun; return what it says of itself then, and 0.

    What ``has_input`` has one that nothing comes from, and that does not end before the process.

    Where it ends before that, nothing and its exit status are returned, and it has told users what went wrong. The
    process that does it gets its own exit status. To be called while there is one thread.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child:
        os.close(theirs)
        with os.fdopen(ours, encoding="utf-8") as told:
            said = told.read()
        return said, 0 if said else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(ours)
    os.setsid()
    stderr = _be_silent()
    if has_input:
        silent, _open = os.pipe()
        os.dup2(silent, 0)
        os.close(silent)

    def begun(text: str) -> None:
        nonlocal stderr
        os.close(stderr)
        stderr = -1
        os.write(theirs, text.encode())
        os.close(theirs)

    try:
        return "", work(begun)
    finally:
        if stderr >= 0:  # nobody hears it any more where it has begun
            os.dup2(stderr, 2)


def _be_silent() -> int:
    """Give this process no streams, and return what standard error was.

    Whoever waits for the end of our output must not wait for what is started from here on.
    """
    stderr = os.dup(2)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    return stderr
