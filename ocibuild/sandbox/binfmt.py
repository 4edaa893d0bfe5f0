"""User namespaces in which the kernel gives foreign programs to an interpreter: a binfmt_misc of their own.

Each user namespace can have one since Linux 6.7, which then counts in place of those above it. What the machine has
registered is never changed.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from typing import TYPE_CHECKING, NoReturn

from ocibuild.sandbox import syscalls
from ocibuild.sandbox.channel import receive
from ocibuild.sandbox.identity import map_all
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.sandbox.foreign import Handler

_REPLY = 4096


class _Made(NamedTuple):
    """A user namespace, and its binfmt_misc, which would forget everything were it closed."""

    namespace: int
    registered: int


class Handlers:
    """The spawner's user namespaces, made when they are first asked for."""

    def __init__(self) -> None:
        self._made: dict[tuple[Handler, ...], _Made] = {}

    def namespace(self, handlers: Sequence[Handler]) -> int:
        """Return a user namespace below ours, with every ID as it is, that has these; raises OSError.

        To be called while this process has one thread.
        """
        key = tuple(handlers)
        if key not in self._made:
            self._made[key] = _make(key)
        return self._made[key].namespace


def _make(handlers: Sequence[Handler]) -> _Made:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        child, pidfd = syscalls.clone(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS, exit_signal=signal.SIGCHLD)
        if child == 0:
            ours.close()
            _register_and_exit(theirs, handlers)
        os.close(pidfd)
        theirs.close()
        try:
            map_all(int(ours.recv(_REPLY) or b"0"))
            ours.send(b"mapped")
            return _received(ours)
        finally:
            ours.close()
            os.waitpid(child, 0)


def _received(channel: socket.socket) -> _Made:
    reply, descriptors = receive(channel, _REPLY, 2)
    if not descriptors:
        number = int(reply or str(errno.EIO))
        raise OSError(number, os.strerror(number))
    return _Made(*descriptors)


def _register_and_exit(channel: socket.socket, handlers: Sequence[Handler]) -> NoReturn:
    """Say who we are, wait for the IDs, register, and give the namespace and its binfmt_misc away."""
    try:
        # the number that /proc knows, which may be that of a PID namespace above ours
        channel.send(os.readlink("/proc/self").encode())
        if channel.recv(_REPLY):
            made = _Made(os.open("/proc/self/ns/user", os.O_RDONLY | os.O_CLOEXEC), _register(handlers))
            socket.send_fds(channel, [b"0"], list(made))
    except OSError as error:
        channel.send(str(error.errno).encode())
    finally:
        os._exit(0)


def _register(handlers: Sequence[Handler]) -> int:
    mounted = syscalls.new_mount("binfmt_misc", [])
    for handler in handlers:
        _protect(handler.interpreter)
        fd = os.open("register", os.O_WRONLY | os.O_CLOEXEC, dir_fd=mounted)
        try:
            os.write(fd, handler.registration.encode("utf-8", "surrogateescape"))
        finally:
            os.close(fd)
    return mounted


def _protect(path: str) -> None:
    """Have the kernel open an interpreter by way of a read-only mount, which we alone see.

    Steps reach it as /proc/PID/exe, and where it belongs to whoever builds they could change it.
    """
    fd = syscalls.open_tree(path, recursive=False)
    try:
        syscalls.restrict_mount(fd, syscalls.MOUNT_ATTR_RDONLY)
        syscalls.move_mount(fd, path)
    finally:
        os.close(fd)
