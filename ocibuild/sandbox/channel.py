"""What the spawner, the keepers and the steps share: messages to the builder, and descriptors that are not theirs."""

from __future__ import annotations

import array
import json
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ocibuild.errors import CannotStart

if TYPE_CHECKING:
    from collections.abc import Collection

    from ocibuild.errors import OcibuildError


def tell(channel: socket.socket, message: dict[str, Any]) -> None:
    """Send a message to the builder, which may have given the step up."""
    with suppress(OSError):
        channel.send(json.dumps(message).encode())


def explained(error: OcibuildError) -> dict[str, Any]:
    """Return the message that a step's process could not be started."""
    status = {"status": error.exit_status} if isinstance(error, CannotStart) else {}
    return {"error": error.message, "remedy": error.remedy, **status}


def receive(channel: socket.socket, size: int, most: int) -> tuple[bytes, list[int]]:
    """Take a message, and its descriptors, up to ``most`` of them; raise OSError.

    None is for a program that we execute, which ``socket.recv_fds`` does not see to. Fewer come where we may open no
    more.
    """
    descriptors = array.array("i")
    room = socket.CMSG_LEN(most * descriptors.itemsize)
    data, ancillary, _, _ = channel.recvmsg(size, room, socket.MSG_CMSG_CLOEXEC)
    for _, _, content in ancillary:
        descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    for surplus in descriptors[most:]:  # the kernel rounds the room up
        os.close(surplus)
    return data, list(descriptors[:most])


def close_inherited(kept: Collection[int]) -> None:
    """Close all but the standard streams and ``kept``: what whoever forked us has open is for nobody else."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with suppress(OSError):  # the one that listed
                os.close(int(name))


def shell_status(status: int) -> int:
    """Return a wait(2) status as a shell shows it: 128 + N for signal N."""
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
