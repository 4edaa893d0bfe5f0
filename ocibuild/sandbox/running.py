"""A step that was started, as the builder sees it."""

from __future__ import annotations

import json
import os
import select
import socket
from contextlib import suppress
from typing import Any

from ocibuild.errors import CannotStart, SandboxError
from ocibuild.sandbox.channel import receive
from ocibuild.values import dataclass

_MESSAGE_LIMIT = 1 << 16
_TOO_LATE = "all has ended before the process was in there"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: ``exit_status`` as a shell shows it, and the mount targets that were made in its tree.

    ``pretended`` says that owners and IDs only looked changed, since the kernel lets nobody answer for it.
    ``touched`` are names in the tree of what is as it was before the step but for its ctime.
    """

    exit_status: int
    created: tuple[str, ...]
    pretended: bool = False
    touched: tuple[str, ...] = ()


class Running:
    """A step that was started; ``wait()`` or ``kill()`` it, then ``close()``."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._created: tuple[str, ...] | None = None
        self._pretended = False
        self._program: int | None = None  # a pipe that ends when it is one
        self._status: int | None = None

    def wait_for_root(self) -> None:
        """Wait until its root is made, and it is in there; raise SandboxError where that fails. Before ``wait()``."""
        while self._created is None and self._status is None:
            self._hear()

    def wait_for_program(self) -> None:
        """Wait until one more process in a step is its program; raise as ``wait()`` does. Before that."""
        self.wait_for_root()
        if self._created is None:
            raise SandboxError(_TOO_LATE)
        if self._program is not None:
            os.read(self._program, 1)
            if select.select([self._channel], [], [], 0)[0]:
                self._hear()

    def wait(self) -> Outcome:
        """Wait for the end; raise SandboxError where the process could not be started."""
        while self._status is None:
            self._hear()
        return Outcome(self._status, self._created or (), self._pretended)

    def _hear(self) -> None:
        """Take the next message, and note what it says."""
        message, descriptors = self._next()
        if "created" in message:
            self._created = tuple(message["created"])
            self._program = next(iter(descriptors), None)
        self._pretended = message.get("pretended", self._pretended)
        self._status = message.get("exit")

    def terminal(self) -> int:
        """Wait for the other end of the step's terminal, and return it: it is the caller's; before ``wait()``."""
        _, descriptors = self._next()
        if not descriptors:
            raise SandboxError(_TOO_LATE)
        return descriptors[0]

    def _next(self) -> tuple[dict[str, Any], list[int]]:
        data, descriptors = self._receive()
        if not data:
            raise SandboxError("the step's process was lost", remedy="see whether the machine is out of memory")
        message = json.loads(data)
        if "error" in message:
            raise CannotStart(message["error"], remedy=message["remedy"], exit_status=message.get("status", 125))
        return message, descriptors

    def _receive(self) -> tuple[bytes, list[int]]:
        try:
            return receive(self._channel, _MESSAGE_LIMIT, 1)
        except ConnectionResetError:  # the spawner died
            return b"", []

    def signal(self, number: int) -> None:
        """Send a signal to the step's first process; like any first process it gets only those that it handles."""
        with suppress(OSError):
            self._channel.send(bytes([number]))

    def kill(self) -> None:
        """End the step and everything it started; safe to repeat and from another thread."""
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of the step once nothing of it runs any more, killing it where it still does."""
        self.kill()
        while (received := self._receive())[0]:
            for descriptor in received[1]:  # a terminal that nobody asked for
                os.close(descriptor)
        self._channel.close()
        if self._program is not None:
            os.close(self._program)
