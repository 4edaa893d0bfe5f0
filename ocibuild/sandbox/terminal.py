"""A terminal of a step's own, in its own /dev/pts; its other end goes to whoever started the step."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import struct
import termios

# POWER numbers ioctls in a way of its own
_TIOCSPTLCK, _TIOCGPTPEER = (0x80045431, 0x20005441) if os.uname().machine == "ppc64le" else (0x40045431, 0x5441)
_MESSAGE = json.dumps({"terminal": True}).encode()


def take_terminal(channel: socket.socket, size: tuple[int, int] = (0, 0)) -> str:
    """Make a terminal the standard streams of this process, which leads a session without one; return its path.

    Its other end goes to ``channel``. ``size`` is in rows and columns, for programs that ask before whoever shows it
    says so.
    """
    other_end, terminal = _open_pair()
    termios.tcsetwinsize(terminal, size)
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(terminal, number, inheritable=True)
    socket.send_fds(channel, [_MESSAGE], [other_end])
    path = os.ttyname(terminal)
    os.close(other_end)
    os.close(terminal)
    return path


def _open_pair() -> tuple[int, int]:
    """Open a terminal, and return both of its ends, see ioctl_tty(2).

    Older C libraries' openpty(3) looks up who owns terminals: in the image, whose libraries would do it, before this
    process has given up what it may do (CVE-2019-14271 was such a case).
    """
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    other_end = os.open("/dev/ptmx", flags)
    fcntl.ioctl(other_end, _TIOCSPTLCK, struct.pack("i", 0))
    return other_end, fcntl.ioctl(other_end, _TIOCGPTPEER, flags)


def give_terminal(uid: int) -> None:
    """Make ``uid`` the owner of the terminal."""
    try:
        os.fchown(0, uid, -1)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a user that we have not: whoever takes the IDs says so, or knows better
            raise
