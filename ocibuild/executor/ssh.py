"""An SSH agent lent to a step: a socket of its own, behind which one may list keys and sign, and do nothing else.

The messages are those of draft-ietf-sshm-ssh-agent: a length of four bytes, then a type and its content.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Connect: TypeAlias = "Callable[[], socket.socket]"
"""Opens one connection to an agent; raises OSError where there is none."""

_ALLOWED = {11, 13}  # SSH_AGENTC_REQUEST_IDENTITIES, SSH_AGENTC_SIGN_REQUEST
_FAILURE = b"\5"  # SSH_AGENT_FAILURE
_LIMIT = 256 << 10  # bytes of a message, as in OpenSSH
_CONNECTIONS = 16
_NAME = "agent"


@contextmanager
def lent(folder: int, connect: Connect) -> Iterator[str]:
    """Serve an agent on a socket in the open directory ``folder``, and give its name there.

    Each connection to it is one to the agent. None is left open when the block is left, whatever the other ends do.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(f"/proc/self/fd/{folder}/{_NAME}")  # a socket's path has 107 bytes, a store's may have more
        listener.listen(_CONNECTIONS)
        lender = _Lender(listener, connect)
        lender.start()
        try:
            yield _NAME
        finally:
            lender.end()
            os.unlink(_NAME, dir_fd=folder)


class _Lender:
    """Serves the connections to one socket, each in a thread; ``_lock`` guards all that is below it."""

    def __init__(self, listener: socket.socket, connect: Connect) -> None:
        self._listener = listener
        self._connect = connect
        self._lock = threading.Lock()
        self._ended = False
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()

    def start(self) -> None:
        self._begin(threading.Thread(target=self._accept, name="ssh-agent"))

    def end(self) -> None:
        """Break every connection, and wait until nothing runs any more."""
        with self._lock:
            self._ended = True
            for one in (self._listener, *self._open):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            threads = tuple(self._threads)
        for thread in threads:
            thread.join()

    def _begin(self, thread: threading.Thread) -> bool:
        with self._lock:
            if self._ended or len(self._threads) > _CONNECTIONS:
                return False
            self._threads.add(thread)
            thread.start()
            return True

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is shut down
            while True:
                client, _ = self._listener.accept()
                if not self._begin(threading.Thread(target=self._serve, args=(client,), name="ssh-agent")):
                    client.close()

    def _serve(self, client: socket.socket) -> None:
        try:
            # an end that goes away, or sends what is no message, ends the connection
            with ExitStack() as cleanup, suppress(OSError, ValueError):
                self._keep(client, cleanup)
                agent = self._connect()
                self._keep(agent, cleanup)
                while (request := _receive(client)) is not None:
                    _send(client, _answer(agent, request))
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _keep(self, one: socket.socket, cleanup: ExitStack) -> None:
        """Have a connection broken at the end, or now where that has come."""
        cleanup.callback(self._close, one)
        with self._lock:
            self._open.add(one)
            if self._ended:
                raise BrokenPipeError

    def _close(self, one: socket.socket) -> None:
        with self._lock:
            self._open.discard(one)
        one.close()


def _answer(agent: socket.socket, request: bytes) -> bytes:
    """Return what the agent says to a request, or a refusal of ours."""
    if request[0] not in _ALLOWED:
        return _FAILURE
    _send(agent, request)
    answer = _receive(agent)
    if answer is None:
        raise BrokenPipeError
    return answer


def _send(to: socket.socket, message: bytes) -> None:
    to.sendall(struct.pack(">I", len(message)) + message)


def _receive(of: socket.socket) -> bytes | None:
    """Return the next message, None at the end; raise ValueError for what is none."""
    header = _read(of, 4)
    if len(header) < 4:
        return None
    (size,) = struct.unpack(">I", header)
    if not 1 <= size <= _LIMIT:
        raise ValueError(size)
    message = _read(of, size)
    return message if len(message) == size else None


def _read(of: socket.socket, size: int) -> bytes:
    """Return the next ``size`` bytes, fewer at the end."""
    found = bytearray()
    while len(found) < size and (piece := of.recv(size - len(found))):
        found += piece
    return bytes(found)
