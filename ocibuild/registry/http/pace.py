"""How long a server may take: an answer has to begin in time, and its body has to keep up a least speed.

A time-out of the socket alone does not do it: each byte begins it anew, so a server that sends ten of them a second
would be waited for without end.
"""

from __future__ import annotations

import io
import time
from http import HTTPStatus
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

from ocibuild.values import dataclass

if TYPE_CHECKING:
    import socket

    from ocibuild.registry.http.retry import RetryPolicy

_BUFFER = 64 << 10


class TooSlow(TimeoutError):
    """A server sends, but so little that it may not count."""


@dataclass(slots=True)
class Pace:
    """What one response may take; times are in seconds on the monotonic clock.

    Only waiting for the server counts: a reader that is slow itself, because its disk is, has no hurry.
    """

    policy: RetryPolicy
    begun: float
    waited: float = 0
    received: int = 0
    in_body: bool = False

    def check(self) -> None:
        """Raise TimeoutError or TooSlow where the server has used up its time."""
        if not self.in_body:
            if time.monotonic() - self.begun > self.policy.answer_timeout:
                raise TooSlow
        elif self.waited >= self.policy.slow_window:
            if self.received < self.policy.least_speed * self.waited:
                raise TooSlow
            self.waited = self.received = 0

    def count(self, received: int, waited: float) -> None:
        """Note that ``received`` bytes came after ``waited`` seconds."""
        self.received += received
        self.waited += waited


class PacedResponse(HTTPResponse):
    """A response that must keep its pace, and whose body is read in the pieces in which it comes."""

    def __init__(self, sock: socket.socket, *args: Any, policy: RetryPolicy, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._pace = Pace(policy, time.monotonic())
        # detach() leaves the raw stream, and with it the count of who uses the socket
        self.fp = io.BufferedReader(_PacedStream(self.fp.detach(), self._pace), _BUFFER)

    def begin(self) -> None:
        """Read the status and the headers, of the final answer where others come before (RFC 9110, section 15.2)."""
        super().begin()
        while self.status // 100 == 1 and self.status != HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = self.msg = None  # type: ignore[assignment]  # which is how it knows that it has not begun
            super().begin()
        self._pace.in_body = True

    def has_ended(self) -> bool:
        """Tell whether the body was read to its end, or there is none."""
        return self.isclosed() or self.length == 0

    def read_some(self, size: int) -> bytes:
        """Return up to ``size`` bytes of the body, empty at its end; raises ConnectionResetError where it breaks off.

        (``read1()`` of some versions of Python does not count what it has read.)
        """
        if self.has_ended():
            piece = b""
        elif self.chunked:
            piece = self.read1(size)
        else:
            piece = self.fp.read1(size if self.length is None else min(size, self.length))
            if self.length is not None:
                if not piece:
                    raise ConnectionResetError
                self.length -= len(piece)
        if not piece or self.length == 0:
            self.close()
        return piece


class _PacedStream(io.RawIOBase):
    """The raw bytes of a response, which come at a pace."""

    def __init__(self, raw: io.RawIOBase, pace: Pace) -> None:
        super().__init__()
        self._raw = raw
        self._pace = pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        self._pace.check()
        before = time.monotonic()
        count: int | None = self._raw.readinto(buffer)
        if count == 0 and not self._pace.in_body:
            raise ConnectionResetError  # else http.client would take what came for all the headers
        self._pace.count(count or 0, time.monotonic() - before)
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
            super().close()
