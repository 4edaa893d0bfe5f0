"""The door of a step that runs: a socket over which others of the same user have one more process started in it."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from ocibuild.sandbox.entering import EntrySpec
from ocibuild.sandbox.request import Outside, Request
from ocibuild.sandbox.spawner import start_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.sandbox.running import Running
    from ocibuild.sandbox.spawner import Spawner

_PATIENCE = 1.0
_LONGEST = 4 << 20  # bytes of a command with its environment
_CREDENTIALS = struct.Struct("3i")  # struct ucred: PID, user, group


@contextmanager
def open_door(path: str, spawner: Spawner) -> Iterator[None]:
    """Have a door at ``path`` while the block lasts, to the one step that the spawner runs, whose root is made."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as listening:
        with _short(path) as name:
            listening.bind(name)
        os.chmod(path, 0o600)
        listening.listen()
        closed = threading.Event()
        thread = threading.Thread(target=_attend, args=(listening, spawner, closed), name="door", daemon=True)
        thread.start()
        try:
            yield
        finally:
            closed.set()
            listening.shutdown(socket.SHUT_RDWR)  # which wakes the thread
            thread.join()
            with suppress(FileNotFoundError):
                os.unlink(path)


def knock(path: str, spec: EntrySpec, stdin: int, stdout: int, stderr: int) -> Running:
    """Have a process started behind a door, with these descriptors as its standard streams, which stay the caller's.

    Raises OSError where there is no door, and SandboxError.
    """
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as line:
        with _short(path) as name:
            line.connect(name)
        return start_over(line, spec, [stdin, stdout, stderr])


@contextmanager
def _short(path: str) -> Iterator[str]:
    """Give another name of ``path``: that of a socket has 107 bytes at most, see unix(7)."""
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{os.path.basename(path)}"
    finally:
        os.close(folder)


def _attend(listening: socket.socket, spawner: Spawner, closed: threading.Event) -> None:
    while not closed.is_set():
        try:
            line, _ = listening.accept()
        except OSError:
            return
        with line, suppress(Exception):  # whatever a stranger sends, the next one is let in
            line.settimeout(_PATIENCE)
            if _user_of(line) == os.geteuid():
                _let_in(line, spawner)


def _user_of(line: socket.socket) -> int:
    found: int = _CREDENTIALS.unpack(line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[1]
    return found


def _let_in(line: socket.socket, spawner: Spawner) -> None:
    """Pass on what is asked for, if it is a process in the step: what runs in there might reach the door, too."""
    request = Request.receive(line)
    if request is None:
        return
    try:
        if os.fstat(request.file).st_size <= _LONGEST and request.outside == Outside():
            spawner.pass_on(request, EntrySpec.load(json.loads(request.read())))
    finally:
        request.close()
        request.channel.close()
        if request.outside.users is not None:
            os.close(request.outside.users)
