"""A line between a client and a server on loopback that knows nothing of HTTP, and breaks or stalls connections."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 64 << 10


@dataclass(slots=True)
class Line:
    """``up`` is what goes to the server, ``down`` what comes from it.

    Each number in them is for one connection: the first that carries so many bytes that way is cut there, and where
    ``stalls`` is set it goes silent instead.
    """

    address: str
    up: list[int] = field(default_factory=list)
    down: list[int] = field(default_factory=list)
    stalls: bool = False
    carried: list[int] = field(default_factory=lambda: [0, 0])
    lock: threading.Lock = field(default_factory=threading.Lock)  # guards the three lists
    ended: threading.Event = field(default_factory=threading.Event)

    def allowed(self, limits: list[int], passed: int, more: int) -> int:
        """Return how many of ``more`` bytes may pass, fewer where the connection ends here."""
        with self.lock:
            if limits and passed + more >= limits[0]:
                return max(0, limits.pop(0) - passed)
        return more


@contextmanager
def line_to(target: str) -> Iterator[Line]:
    """Run one to ``target``, HOST:PORT."""
    listener = socket.create_server(("127.0.0.1", 0))
    line = Line(f"127.0.0.1:{listener.getsockname()[1]}")
    thread = threading.Thread(target=_accept, args=(line, listener, target), daemon=True)
    thread.start()
    try:
        yield line
    finally:
        line.ended.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _accept(line: Line, listener: socket.socket, target: str) -> None:
    host, _, port = target.partition(":")
    while not line.ended.is_set():
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.create_connection((host, int(port)))
        for source, sink, limits, way in ((client, server, line.up, 0), (server, client, line.down, 1)):
            threading.Thread(target=_carry, args=(line, source, sink, limits, way), daemon=True).start()


def _carry(line: Line, source: socket.socket, sink: socket.socket, limits: list[int], way: int) -> None:
    passed = 0
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            allowed = line.allowed(limits, passed, len(piece))
            sink.sendall(piece[:allowed])
            passed += allowed
            line.carried[way] += allowed
            if allowed < len(piece):
                if line.stalls:
                    line.ended.wait(60)
                break
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
