"""A terminal of a step's own, in its own /dev/pts; its other end goes to whoever started the step."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import termios

from ocibuild.sandbox import syscalls


def take_terminal(channel: socket.socket, message: bytes, *, uid: int) -> int:
    """Make a terminal the standard streams of this process, which leads a session without one, and ``uid`` its owner.

    ``message`` goes to ``channel`` with the other end. Returns a descriptor of a mount that shows it as a file, for
    /dev/console.
    """
    other_end, terminal = os.openpty()
    try:
        os.fchown(terminal, uid, -1)
    except OSError as error:
        if error.errno != errno.EINVAL:  # taking the user's IDs tells that there is no such user
            raise
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(terminal, number, inheritable=True)
    socket.send_fds(channel, [message], [other_end])
    console = syscalls.open_tree(os.ttyname(terminal), recursive=False)
    os.close(other_end)
    os.close(terminal)
    return console
