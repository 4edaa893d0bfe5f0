"""What can go wrong with one answer of a server: each function returns what ``Hub.fail`` takes."""

from __future__ import annotations

import re
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.hub import Exchange

    Act = Callable[[Exchange], None]

_SLOW = 10  # bytes a second


def status(code: int, body: bytes = b"", **headers: str) -> Act:
    """Answer with a status, and do nothing; names of headers are written with underscores."""

    def act(exchange: Exchange) -> None:
        exchange.asked.status = code
        exchange.handler.answer(code, body, **headers)

    return act


def reply(data: bytes, **headers: str) -> Act:
    """Answer 200 with other bytes."""
    return status(200, data, **headers)


def hang_up(after: int = 0) -> Act:
    """Read so many bytes of the request's body, then close the connection without an answer."""

    def act(exchange: Exchange) -> None:
        exchange.asked.received += len(exchange.handler.rfile.read(after))
        exchange.hang_up()

    return act


def reset(exchange: Exchange) -> None:
    """Reset the connection instead of an answer."""
    exchange.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.hang_up()
    exchange.handler.connection.close()


def sip(exchange: Exchange) -> None:
    """Do what was asked, but take the request's body at about four megabytes a second."""
    pieces = exchange.handler.body

    def slowly() -> Iterator[bytes]:
        for piece in pieces:
            exchange.wait(len(piece) / 4e6)
            yield piece

    exchange.handler.body = slowly()
    exchange.send(*exchange.answer())


def take(after: int) -> Act:
    """Do with the first bytes of the request's body what was asked, and close the connection without an answer."""

    def act(exchange: Exchange) -> None:
        body = exchange.handler.rfile.read(after)
        exchange.asked.received += len(body)
        exchange.handler.body = iter([body])
        lose_answer(exchange)

    return act


def lose_answer(exchange: Exchange) -> None:
    """Do what was asked, and close the connection without an answer."""
    exchange.answer()
    exchange.asked.status = 0
    exchange.hang_up()


def cut_head(exchange: Exchange) -> None:
    """Close the connection in the middle of the headers."""
    head, _ = exchange.answer()
    exchange.send(head[:40])
    exchange.hang_up()


def cut(after: int) -> Act:
    """Close the connection after so many bytes of the body."""

    def act(exchange: Exchange) -> None:
        head, body = exchange.answer()
        exchange.send(head, body[:after])
        exchange.hang_up()

    return act


def stall(exchange: Exchange) -> None:
    """Never answer."""
    exchange.hang_up()
    exchange.wait(60)


def stall_body(after: int) -> Act:
    """Send so many bytes of the body, and then nothing more."""

    def act(exchange: Exchange) -> None:
        head, body = exchange.answer()
        exchange.send(head, body[:after])
        stall(exchange)

    return act


def drip_head(exchange: Exchange) -> None:
    """Send ten bytes a second from the beginning."""
    exchange.hang_up()
    _drip(exchange, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"z" * 2000)


def drip_body(after: int) -> Act:
    """Send so many bytes of the body, and then ten a second."""

    def act(exchange: Exchange) -> None:
        exchange.hang_up()
        head, body = exchange.answer()
        exchange.send(head, body[:after])
        _drip(exchange, body[after:])

    return act


def _drip(exchange: Exchange, data: bytes) -> None:
    for at in range(len(data)):
        exchange.send(data[at : at + 1])
        if not exchange.wait(1 / _SLOW):
            return


def say(*pieces: bytes) -> Act:
    """Send bytes that need not be HTTP, and close the connection."""

    def act(exchange: Exchange) -> None:
        exchange.handler.drain()
        exchange.send(*pieces)
        exchange.hang_up()

    return act


def repeat(piece: bytes, *, first: bytes = b"", times: int = 2_000) -> Act:
    """Send the same again and again, until the client has gone or has had so many pieces."""

    def act(exchange: Exchange) -> None:
        exchange.hang_up()
        exchange.handler.drain()
        exchange.send(first)
        for _ in range(times):
            exchange.send(piece)
        exchange.wait(60)

    return act


ENDLESS_HEADERS = repeat(b"X-More: again\r\n" * 50, first=b"HTTP/1.1 200 OK\r\n")
ENDLESS_HEADER = repeat(b"x" * 4096, first=b"HTTP/1.1 200 OK\r\nX-Long: ")
ENDLESS_BODY = repeat(b"x" * (1 << 18), first=b"HTTP/1.1 200 OK\r\n\r\n")
GARBAGE = say(b"SSH-2.0-OpenSSH_9.2p1\r\n" * 3)


def informed(lines: bytes, times: int) -> Act:
    """Send interim answers before the real one."""

    def act(exchange: Exchange) -> None:
        head, body = exchange.answer()
        exchange.send(lines * times, head, body)

    return act


def informed_forever(exchange: Exchange) -> None:
    """Send interim answers and never another one."""
    exchange.hang_up()
    while exchange.wait(0.005):
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 10)


def headed(**headers: str) -> Act:
    """Answer well but for some headers, replaced or added; an empty value leaves one out."""

    def act(exchange: Exchange) -> None:
        head, body = exchange.answer()
        for name, value in headers.items():
            line = re.escape(name.replace("_", "-").encode()) + rb": [^\r]*\r\n"
            head = re.sub(rb"(?i)" + line, b"", head)
            if value:
                head = head[:-2] + f"{name.replace('_', '-')}: {value}\r\n\r\n".encode()
        exchange.send(head, body)
        exchange.hang_up()

    return act


def flipped(at: int) -> Act:
    """Answer well but for one byte of the body."""

    def act(exchange: Exchange) -> None:
        head, body = exchange.answer()
        exchange.send(head, body[:at], bytes([body[at] ^ 1]), body[at + 1 :])

    return act


def without_range(exchange: Exchange) -> None:
    """Answer with the whole, whatever part was asked for."""
    if "Range" in exchange.handler.headers:
        del exchange.handler.headers["Range"]
    head, body = exchange.answer()
    exchange.send(head, body)


def redirect(url: str, code: int = 307) -> Act:
    """Send the client elsewhere; ``{cdn}``, ``{registry}``, ``{auth}`` and ``{self}`` stand for addresses."""

    def act(exchange: Exchange) -> None:
        hub = exchange.hub
        here = exchange.handler.service.address
        known = {"cdn": hub.cdn.address, "registry": hub.address, "auth": hub.auth.address, "self": here}
        exchange.asked.status = code
        exchange.handler.answer(code, Location=url.format(**known, path=exchange.handler.path))

    return act
