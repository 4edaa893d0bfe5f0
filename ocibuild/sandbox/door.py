"""The door of a step that runs: a socket over which others of the same user have one more process started in it."""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from ocibuild.errors import OcibuildError, SandboxError
from ocibuild.sandbox.channel import explained, tell
from ocibuild.sandbox.deaf import start_deaf
from ocibuild.sandbox.request import Outside, Request
from ocibuild.sandbox.spawner import start_over
from ocibuild.sandbox.specs import EntrySpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.sandbox.running import Running
    from ocibuild.sandbox.spawner import Spawner
    from ocibuild.sandbox.specs import Admission

_PATIENCE = 1.0
_LONGEST = 4 << 20  # bytes of a command with its environment
_CREDENTIALS = struct.Struct("3i")  # struct ucred: PID, user, group


@contextmanager
def open_door(path: str, spawner: Spawner, admitted: Admission | None = None) -> Iterator[None]:
    """Have a door at ``path`` while the block lasts, to the one step that the spawner runs, whose root is made.

    Where a step has no namespaces that others could join, ``admitted`` makes of what is asked for a step of its own in
    the same tree; such steps are ended with the block. It is called in another thread, and may raise CannotStart or
    SandboxError.
    """
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as listening:
        with _short(path) as name:
            listening.bind(name)
        os.chmod(path, 0o600)
        listening.listen()
        porter = _Porter(listening, spawner, admitted)
        thread = threading.Thread(target=porter.attend, name="door", daemon=True)
        start_deaf(thread)
        try:
            yield
        finally:
            porter.close()
            thread.join()
            porter.end_all()
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


class _Porter:
    """Lets in who comes to the door, and ends at last what ends with it; ``_leashes`` are of what has its own steps."""

    def __init__(self, listening: socket.socket, spawner: Spawner, admitted: Admission | None) -> None:
        self._listening = listening
        self._spawner = spawner
        self._admitted = admitted
        self._leashes: list[socket.socket] = []
        self._closed = threading.Event()

    def attend(self) -> None:
        """Let in who comes, until ``close()``."""
        while not self._closed.is_set():
            try:
                line, _ = self._listening.accept()
            except OSError:
                return
            with line, suppress(Exception):  # whatever a stranger sends, the next one is let in
                line.settimeout(_PATIENCE)
                if _user_of(line) == os.geteuid():
                    self._let_in(line)

    def close(self) -> None:
        """Have ``attend()`` end."""
        self._closed.set()
        self._listening.shutdown(socket.SHUT_RDWR)  # which wakes it

    def end_all(self) -> None:
        """End what is on a leash, and wait until nothing of it is left: then its keeper's end is gone."""
        for leash in self._leashes:
            with suppress(OSError):
                leash.shutdown(socket.SHUT_WR)
        for leash in self._leashes:
            leash.recv(1)
            leash.close()

    def _let_in(self, line: socket.socket) -> None:
        """Pass on what is asked for, if it is a process in the step: what runs in there might reach the door, too."""
        request = Request.receive(line)
        if request is None:
            return
        try:
            if os.fstat(request.file).st_size <= _LONGEST and request.outside == Outside():
                self._pass_on(request, EntrySpec.load(json.loads(request.read())))
        finally:
            request.close()
            request.channel.close()
            if request.outside.users is not None:
                os.close(request.outside.users)

    def _pass_on(self, request: Request, asked: EntrySpec) -> None:
        if self._admitted is None:
            self._spawner.pass_on(request, asked)
            return
        try:
            spec = self._admitted(asked)
        except OcibuildError as error:
            tell(request.channel, explained(error))
            return
        except OSError as error:
            tell(request.channel, explained(SandboxError(f"nothing can be started there: {error.strerror}")))
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._forget_ended()
        self._leashes.append(ours)
        with theirs:
            self._spawner.pass_on(request, spec, theirs)

    def _forget_ended(self) -> None:
        poll = select.poll()
        for leash in self._leashes:
            poll.register(leash, select.POLLIN)
        ended = {fd for fd, _ in poll.poll(0)}
        for leash in [leash for leash in self._leashes if leash.fileno() in ended]:
            self._leashes.remove(leash)
            leash.close()


def _user_of(line: socket.socket) -> int:
    found: int = _CREDENTIALS.unpack(line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[1]
    return found
