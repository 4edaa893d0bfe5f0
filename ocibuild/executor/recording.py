"""What a process writes, shown and kept: a line of JSON for each line, as docker's ``json-file`` has them."""

from __future__ import annotations

import json
import os
import select
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from ocibuild.executor.terminal import write_all
from ocibuild.graph import Stream, format_time
from ocibuild.sandbox import start_deaf
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PIECE = 64 << 10
_LONGEST = 16 << 10
"""Bytes of a line, as with docker, after which another entry begins."""


class Log:
    """A log being written: an entry for each line, and in the end for what has no end; close it."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "a", encoding="ascii")  # noqa: SIM115  (it is closed by close())
        self._begun = dict.fromkeys(Stream, b"")

    def add(self, stream: Stream, text: bytes) -> None:
        """Keep a piece of what was written, whatever bytes it has."""
        *lines, rest = (self._begun[stream] + text).split(b"\n")
        for line in lines:
            self._put(stream, line + b"\n")
        while len(rest) >= _LONGEST:
            self._put(stream, rest[:_LONGEST])
            rest = rest[_LONGEST:]
        self._begun[stream] = rest
        self._file.flush()

    def close(self) -> None:
        """Keep what has no end yet, and let go."""
        for stream, rest in self._begun.items():
            if rest:
                self._put(stream, rest)
        self._file.close()

    def _put(self, stream: Stream, line: bytes) -> None:
        said = line.decode("utf-8", "surrogateescape")
        entry = {"log": said, "stream": stream.value, "time": format_time(time.time_ns())}
        self._file.write(json.dumps(entry) + "\n")


@contextmanager
def recorded(log: Log) -> Iterator[tuple[int, int]]:
    """Give two descriptors; what is written to them is shown on ours, and kept. Ends when nobody has them any more.

    Where nobody reads ours any more, who writes to them is told so, as if they were ours.
    """
    with ExitStack() as cleanup:
        theirs, ours = [], []
        for stream in Stream:
            reading, writing = os.pipe2(os.O_CLOEXEC)
            ours.append(_End(reading, stream))
            theirs.append(writing)
        thread = threading.Thread(target=_pass_on, args=(ours, log), name="log")
        start_deaf(thread)
        cleanup.callback(thread.join)
        for writing in theirs:
            cleanup.callback(os.close, writing)
        yield theirs[0], theirs[1]


class _End(NamedTuple):
    """Our end of a pipe, and which stream comes through it."""

    fd: int
    stream: Stream

    @property
    def shown_on(self) -> int:
        return 1 if self.stream is Stream.STDOUT else 2


def _pass_on(ends: Sequence[_End], log: Log) -> None:
    """Show and keep what comes through pipes, and close each when it ends or nobody wants it."""
    opened = {end.fd: end for end in ends}
    poll = select.poll()
    for fd in opened:
        poll.register(fd, select.POLLIN)
    while opened:
        for fd, _ in poll.poll():
            text = os.read(fd, _PIECE)
            if text:
                log.add(opened[fd].stream, text)
            if not text or not _is_read(text, opened[fd].shown_on):
                poll.unregister(fd)
                del opened[fd]
                os.close(fd)


def _is_read(text: bytes, fd: int) -> bool:
    """Write all of a piece; False where nobody reads it any more."""
    try:
        write_all(fd, text)
    except OSError:
        return False
    return True
