"""pasta, which connects a step's own network to the machine's: started beside the step, and ended with it.

A process of ours, the first of a PID namespace, starts it: when that is killed, the kernel ends pasta and whatever
pasta has started. It gets the step's network namespace from the step itself, and shows it to pasta as a file in a
mount namespace of its own: the link in /proc is closed to a program without CAP_SYS_PTRACE.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from ocibuild.errors import SandboxError
from ocibuild.sandbox import syscalls
from ocibuild.sandbox.channel import close_inherited, receive
from ocibuild.sandbox.pasta import PASTA_GATEWAY, PASTA_RESOLVER
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from ocibuild.sandbox.pasta import Pasta

_ADDRESS = "10.0.2.100"
_TUN = "/dev/net/tun"
_LIMIT = 4096
_CONNECTED = b"connected"


@dataclass(frozen=True, slots=True)
class Connector:
    """The process beside a step; ``end()`` it with the step."""

    pid: int
    pidfd: int

    @classmethod
    def start(cls, pasta: Pasta, link: socket.socket) -> Connector:
        """Fork it, in a process with one thread; the step has the other end of ``link``."""
        pid, pidfd = syscalls.clone(syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNS, exit_signal=signal.SIGCHLD)
        if pid == 0:
            _connect_and_exit(pasta, link)
        return cls(pid, pidfd)

    def end(self) -> None:
        """End all of it, and wait until nothing of it is left."""
        with suppress(ProcessLookupError, ChildProcessError):  # a keeper reaps what has ended
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.pidfd)


def offer_network(link: socket.socket) -> None:
    """In the step: give its network to whoever is to connect it."""
    fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    socket.send_fds(link, [b"n"], [fd])
    os.close(fd)


def await_network(link: socket.socket) -> None:
    """In the step: wait until its network is connected; raise SandboxError where it cannot be."""
    answer = link.recv(_LIMIT)
    link.close()
    if answer != _CONNECTED:
        complaint = answer.decode("utf-8", "replace") or "it was killed"
        raise SandboxError(
            f"pasta cannot connect the step: {complaint}",
            remedy=f"it needs a route to elsewhere and {_TUN}; --network=host needs neither",
        )


def _connect_and_exit(pasta: Pasta, link: socket.socket) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)  # a keeper has one
        close_inherited({link.fileno()})
        try:
            answer = _connect(pasta, link)
        except OSError as error:
            answer = str(error).encode("utf-8", "replace")
        with suppress(OSError):  # the step may have ended
            link.send(answer[-_LIMIT:])
        link.close()
        with suppress(ChildProcessError):
            while True:
                os.wait()
    finally:
        os._exit(0)


def _connect(pasta: Pasta, link: socket.socket) -> bytes:
    """Start pasta, which goes to the background once all is ready; return what it complains of."""
    _, descriptors = receive(link, 1, 1)
    if not descriptors:
        return b"the step has ended"
    network = descriptors[0]
    syscalls.mount(f"/proc/self/fd/{network}", pasta.mount_point, None, syscalls.MS_BIND)
    os.close(network)
    said, say = os.pipe2(os.O_CLOEXEC)
    actions = [
        *((os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1)),
        (os.POSIX_SPAWN_DUP2, say, 2),
    ]
    # it takes a signal that it finds ignored, as Python has SIGPIPE, for a failure
    usual = (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM)
    pid = os.posix_spawn(pasta.program, _words(pasta), {}, file_actions=actions, setsigdef=usual)
    os.close(say)
    with open(said, "rb") as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    return (_last_complaint(text) or b"no reason given") if status else _CONNECTED


def _words(pasta: Pasta) -> list[str]:
    """Return pasta's command line: no port of either side is seen on the other, nor is the machine's loopback."""
    return [
        *(pasta.program, "--config-net", "--quiet"),
        # who it would be instead may not enter a network namespace of ours; it drops what it has no need of
        *("--runas", "0"),
        *("-t", "none", "-u", "none", "-T", "none", "-U", "none"),
        *(() if pasta.reaches_machine else ("--no-map-gw",)),
        *(("--dns-forward", PASTA_RESOLVER) if pasta.resolves_names else ()),
        *("--address", _ADDRESS, "--netmask", "24", "--gateway", PASTA_GATEWAY),
        *("--netns", pasta.mount_point),
    ]


def _last_complaint(text: bytes) -> bytes:
    # where the machine has no syslog, it says so between the lines
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(b"Failed to send")]
    return lines[-1] if lines else b""
