"""Pieces of a stream handed from one thread to the next, a few at a time, and threads that end with their block."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEPTH = 4
"""Pieces that may wait in a channel: with pieces of 1 MiB, the memory that a stream takes."""


T = TypeVar("T")


class Closed(Exception):
    """The other side of the channel has stopped; why, it says itself."""


class Channel(Generic[T]):
    """A bounded queue of pieces, mostly bytes, with one writer and one reader.

    The reader gets the pieces in order, until the writer has finished; a writer or reader that gives up calls
    ``abandon()``, and the other side gets Closed at once.
    """

    def __init__(self) -> None:
        self._pieces: deque[T] = deque()
        self._changed = Condition()
        self._finished = False
        self._abandoned = False

    def write(self, piece: T) -> None:
        """Hand over a piece, waiting for room; an empty one is dropped."""
        with self._changed:
            while len(self._pieces) >= DEPTH and not self._abandoned:
                self._changed.wait()
            if self._abandoned:
                raise Closed
            if piece:
                self._pieces.append(piece)
                self._changed.notify()

    def finish(self) -> None:
        """Say that no piece follows."""
        with self._changed:
            self._finished = True
            self._changed.notify()

    def abandon(self) -> None:
        """Stop, whichever side we are."""
        with self._changed:
            self._abandoned = True
            self._pieces.clear()
            self._changed.notify_all()

    def read(self: Channel[bytes], _size: int = -1, /) -> bytes:
        """Return the next piece, as long as it came, waiting for it; ``b""`` at the end."""
        return next(self, b"")

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            while not self._pieces and not self._finished and not self._abandoned:
                self._changed.wait()
            if self._abandoned:
                raise Closed
            if not self._pieces:
                raise StopIteration
            piece = self._pieces.popleft()
            self._changed.notify()
            return piece


class Pipeline:
    """Threads that work on one stream, and the channels between them. See ``pipeline()``."""

    def __init__(self) -> None:
        self._channels: list[Channel[Any]] = []
        self._threads: list[Thread] = []
        self._errors: list[BaseException] = []

    def channel(self) -> Channel[Any]:
        """Return a new channel, which is abandoned should any part of the pipeline fail."""
        made: Channel[Any] = Channel()
        self._channels.append(made)
        return made

    def start(self, work: Callable[[], None], name: str) -> None:
        """Run ``work`` in a thread of its own."""
        thread = Thread(target=self._run, args=(work,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def fail(self, error: BaseException) -> None:
        """Note the error and stop all parts; that a channel is closed is never the cause."""
        if not isinstance(error, Closed):
            self._errors.append(error)
        for channel in self._channels:
            channel.abandon()

    def join(self) -> None:
        """Wait for all threads; raise the first error there was."""
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 -- it is raised again in the caller's thread
            self.fail(error)


@contextmanager
def pipeline() -> Iterator[Pipeline]:
    """Run threads that are all over when the block is left, and raise the first error of the block or of any."""
    parts = Pipeline()
    try:
        yield parts
    except BaseException as error:  # noqa: BLE001 -- join() raises it, or what caused it
        parts.fail(error)
    parts.join()
