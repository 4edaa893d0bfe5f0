"""A request to start a step, as it goes from process to process: over a socket, with its descriptors."""

from __future__ import annotations

import errno
import json
import os
import socket
from typing import Any

from ocibuild.sandbox.channel import receive, tell
from ocibuild.values import NamedTuple

_LONGEST = 256
_ALWAYS = 5


class Outside(NamedTuple):
    """What a step's process is given from outside.

    ``users`` is a user namespace to enter, where the spec has handlers for foreign programs; ``link`` leads to what
    connects the network, where anything does; ``supervisor`` is where a supervised one submits. Two are for its keeper
    alone: ``leash`` as in ``Keeper.hold()``, whose end it has until all is ended, and ``first``, over which it tells a
    descriptor of the step's first process.
    """

    users: int | None = None
    link: socket.socket | None = None
    supervisor: socket.socket | None = None
    leash: socket.socket | None = None
    first: socket.socket | None = None


class Request(NamedTuple):
    """The channel of a step, a file with its spec, its standard streams, and what it is given from outside."""

    channel: socket.socket
    file: int
    standard: list[int]
    outside: Outside = Outside()

    def read(self) -> bytes:
        """Return the spec as JSON."""
        return os.pread(self.file, os.fstat(self.file).st_size, 0)

    def with_outside(self, **given: Any) -> Request:
        """Return one that gives this too."""
        return self._replace(outside=self.outside._replace(**given))

    @property
    def descriptors(self) -> list[int]:
        """All that must be open for it."""
        return [self.channel.fileno(), self.file, *self.standard, *self._outside().values()]

    def send(self, line: socket.socket) -> None:
        """Pass it on, and all its descriptors with it; raise OSError."""
        socket.send_fds(line, [json.dumps(list(self._outside())).encode()], self.descriptors)

    @classmethod
    def receive(cls, line: socket.socket) -> Request | None:
        """Return what ``send()`` sent, None where nothing comes any more.

        Raises OSError where this process may not open so many files; the channel is told, if it came.
        """
        data, descriptors = receive(line, _LONGEST, _ALWAYS + len(Outside._fields))
        if not data:
            return None
        names = _names(data)
        if names is None:
            for fd in descriptors:
                os.close(fd)
            raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
        if len(descriptors) < _ALWAYS + len(names):
            error = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            _refuse(descriptors, error)
            raise error
        channel, file, *others = descriptors
        given = dict(zip(names, others[3:], strict=True))
        users = given.pop("users", None)
        sockets = {name: socket.socket(fileno=number) for name, number in given.items()}
        return cls(socket.socket(fileno=channel), file, others[:3], Outside(users, **sockets))

    def close(self) -> None:
        """Close all but the channel, and what is given from outside to the step's process."""
        for fd in (self.file, *self.standard):
            os.close(fd)
        if self.outside.leash is not None:
            self.outside.leash.close()

    def refuse(self, error: OSError) -> None:
        """Tell the channel that the kernel refuses the step, and close it."""
        tell(self.channel, {"error": f"the kernel refuses a step: {error.strerror}", "remedy": None})
        self.channel.close()

    def _outside(self) -> dict[str, int]:
        found = self.outside._asdict().items()
        return {name: one if isinstance(one, int) else one.fileno() for name, one in found if one is not None}


def _names(data: bytes) -> list[str] | None:
    """Return the names of what is given from outside; None for what is no such list."""
    try:
        names = json.loads(data)
    except ValueError:
        return None
    fits = isinstance(names, list) and all(name in Outside._fields for name in names)
    return names if fits and len(set(names)) == len(names) else None


def _refuse(descriptors: list[int], error: OSError) -> None:
    for number, fd in enumerate(descriptors):
        if number:
            os.close(fd)
        else:
            Request(socket.socket(fileno=fd), -1, []).refuse(error)
