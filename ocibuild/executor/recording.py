"""What a process writes, shown and kept: a line of JSON for each piece, as docker's ``json-file`` has them."""

from __future__ import annotations

import json
import os
import select
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from ocibuild.graph import Stream, format_time

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 64 << 10


class Log:
    """A log being written; close it."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "a", encoding="ascii")  # noqa: SIM115  (it is closed by close())

    def add(self, stream: Stream, text: bytes) -> None:
        """Keep a piece of what was written, whatever bytes it has."""
        said = text.decode("utf-8", "surrogateescape")
        entry = {"log": said, "stream": stream.value, "time": format_time(time.time_ns())}
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Let go."""
        self._file.close()


@contextmanager
def recorded(log: Log) -> Iterator[tuple[int, int]]:
    """Give two descriptors; what is written to them is shown on ours, and kept. Ends when nobody has them any more."""
    with ExitStack() as cleanup:
        ends = {}
        theirs = []
        for stream in Stream:
            ours, their = os.pipe2(os.O_CLOEXEC)
            cleanup.callback(os.close, ours)
            ends[ours] = stream
            theirs.append(their)
        thread = threading.Thread(target=_pass_on, args=(ends, log), name="log")
        thread.start()
        try:
            yield theirs[0], theirs[1]
        finally:
            for their in theirs:
                os.close(their)
            thread.join()


def _pass_on(ends: dict[int, Stream], log: Log) -> None:
    shown = {stream: number for number, stream in enumerate(Stream, 1)}
    poll = select.poll()
    for fd in ends:
        poll.register(fd, select.POLLIN)
    open_ends = set(ends)
    while open_ends:
        for fd, _ in poll.poll():
            text = os.read(fd, _PIECE)
            if not text:
                poll.unregister(fd)
                open_ends.discard(fd)
                continue
            log.add(ends[fd], text)
            if not _show(text, shown.get(ends[fd], 0)):
                shown.pop(ends[fd], None)


def _show(text: bytes, fd: int) -> bool:
    """Write all of a piece; False where nobody reads it any more."""
    rest = memoryview(text)
    try:
        while rest and fd:
            rest = rest[os.write(fd, rest) :]
    except OSError:
        return False
    return True
