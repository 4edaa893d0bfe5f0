from __future__ import annotations

import fcntl
import os
import socket

import pytest

from ocibuild.sandbox.channel import receive


def _open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("sent", [0, 1, 2, 3])
def test_descriptors_are_closed_to_programs_and_no_more_than_asked_for(sent: int) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        socket.send_fds(theirs, [b"message"], [0] * sent)
        before = _open_descriptors()
        data, descriptors = receive(ours, 100, 1)
        assert data == b"message"
        assert len(descriptors) == min(sent, 1)
        assert len(_open_descriptors() - before) == len(descriptors)
        for fd in descriptors:
            assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
            os.close(fd)


def test_nothing_comes_from_a_closed_channel() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    with ours:
        assert receive(ours, 100, 1) == (b"", [])
