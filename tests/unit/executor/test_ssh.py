from __future__ import annotations

import os
import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

import pytest

from ocibuild.executor.ssh import lent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FAILURE = b"\x05"
LIMIT = 256 << 10


def _message(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


class Agent:
    """Answers everything with what it was asked; ``seen`` are the requests that have come to it."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.silent = False

    def connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        threading.Thread(target=self._answer, args=(ours,), daemon=True).start()
        return theirs

    def _answer(self, client: socket.socket) -> None:
        with client, suppress(BrokenPipeError):
            while header := client.recv(4, socket.MSG_WAITALL):
                content = client.recv(struct.unpack(">I", header)[0], socket.MSG_WAITALL)
                self.seen.append(content)
                if not self.silent:
                    client.sendall(_message(b"\x0c" + content))


@contextmanager
def _lent(folder: Path, connect: Callable[[], socket.socket]) -> Iterator[Path]:
    fd = os.open(folder, os.O_RDONLY)
    try:
        with lent(fd, connect) as name:
            yield folder / name
    finally:
        os.close(fd)


def _client(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    folder = os.open(path.parent, os.O_RDONLY)
    client.connect(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)
    return client


def _ask(client: socket.socket, content: bytes) -> bytes:
    client.sendall(_message(content))
    (size,) = struct.unpack(">I", client.recv(4, socket.MSG_WAITALL))
    return client.recv(size, socket.MSG_WAITALL)


def _lenders() -> int:
    return sum(thread.name == "ssh-agent" for thread in threading.enumerate())


REQUESTS = {
    "list the keys": (11, True),
    "sign": (13, True),
    "list the keys of version 1": (1, False),
    "add a key": (17, False),
    "remove a key": (18, False),
    "remove all keys": (19, False),
    "add a key of a card": (20, False),
    "remove a card": (21, False),
    "lock": (22, False),
    "unlock": (23, False),
    "add a key with conditions": (25, False),
    "extension": (27, False),
    "unknown": (200, False),
}


@pytest.mark.parametrize(("number", "passed"), REQUESTS.values(), ids=REQUESTS)
def test_keys_can_be_used_and_not_changed(number: int, passed: bool, tmp_path: Path) -> None:
    agent = Agent()
    request = bytes([number]) + b"content"
    with _lent(tmp_path, agent.connect) as path, _client(path) as client:
        assert _ask(client, request) == (b"\x0c" + request if passed else FAILURE)
        assert _ask(client, b"\x0b") == b"\x0c\x0b"
    assert agent.seen == [*([request] if passed else []), b"\x0b"]
    assert _lenders() == 0
    assert os.listdir(tmp_path) == []


WRONG = {
    "nothing": b"",
    "half a length": b"\0\0",
    "no type": _message(b""),
    "half a message": _message(b"\x0b" * 9)[:-1],
    "too long": struct.pack(">I", LIMIT + 1) + b"\x0b",
    "as long as can be said": b"\xff" * 8,
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_is_no_message_ends_the_connection_alone(text: bytes, tmp_path: Path) -> None:
    agent = Agent()
    with _lent(tmp_path, agent.connect) as path, _client(path) as good:
        with _client(path) as client:
            client.sendall(text)
            client.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):  # it did not read all
                assert client.recv(1) == b""
        assert _ask(good, b"\x0b") == b"\x0c\x0b"
    assert agent.seen == [b"\x0b"]


def test_message_may_be_long(tmp_path: Path) -> None:
    request = b"\x0d" + bytes(LIMIT - 2)
    with _lent(tmp_path, Agent().connect) as path, _client(path) as client:
        assert _ask(client, request) == b"\x0c" + request


def test_answer_that_is_too_long_ends_the_connection(tmp_path: Path) -> None:
    with _lent(tmp_path, Agent().connect) as path, _client(path) as client:
        client.sendall(_message(b"\x0d" + bytes(LIMIT - 1)))
        assert client.recv(1) == b""


def test_many_connections_at_once(tmp_path: Path) -> None:
    with _lent(tmp_path, Agent().connect) as path:
        for _ in range(3):
            clients = [_client(path) for _ in range(16)]
            for number, client in enumerate(clients):
                assert _ask(client, b"\x0d%d" % number) == b"\x0c\x0d%d" % number
            for client in clients:
                client.close()
            time.sleep(0.1)  # for the ends to be seen


def test_more_connections_than_anybody_needs_are_refused(tmp_path: Path) -> None:
    with _lent(tmp_path, Agent().connect) as path:
        clients = [_client(path) for _ in range(40)]
        time.sleep(0.2)
        assert _lenders() <= 20
        assert _ask(clients[0], b"\x0b") == b"\x0c\x0b"
        for client in clients:
            client.close()


def test_agent_that_is_gone_ends_the_connection(tmp_path: Path) -> None:
    def refuse() -> NoReturn:
        raise ConnectionRefusedError

    with _lent(tmp_path, refuse) as path, _client(path) as client:
        assert client.recv(1) == b""


def test_end_does_not_wait_for_anybody(tmp_path: Path) -> None:
    agent = Agent()
    agent.silent = True
    begun = time.monotonic()
    with _lent(tmp_path, agent.connect) as path:
        waiting, idle, half = _client(path), _client(path), _client(path)
        waiting.sendall(_message(b"\x0b"))
        half.sendall(b"\0")
        while not agent.seen:
            time.sleep(0.01)
    assert time.monotonic() - begun < 5
    assert _lenders() == 0
    for client in (waiting, idle, half):
        with client, suppress(ConnectionResetError):  # where nobody had read yet what it sent
            assert client.recv(1) == b""


def test_socket_may_lie_deeper_than_a_socket_has_room_for(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 200)
    deep.mkdir()
    with _lent(deep, Agent().connect) as path, _client(path) as client:
        assert _ask(client, b"\x0b") == b"\x0c\x0b"
