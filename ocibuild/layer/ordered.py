"""Work on the pieces of a stream by several threads, which comes out in the order of the pieces."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ocibuild.layer.channel import Channel, Pipeline

AHEAD = 3
"""Pieces that a thread has at most, the one that it works on included: no more than fit into a channel."""

T = TypeVar("T")
R = TypeVar("R")


def map_in_order(parts: Pipeline, threads: int, work: Callable[[T], R], pieces: Iterable[T]) -> Iterator[R]:
    """Yield ``work`` of each piece, as ``map()`` does, but done by ``threads`` threads of ``parts``.

    Neither a piece nor what is made of it may be empty. The pieces are dealt to the threads in turn, so nothing depends
    on which one is the quickest; each starts when there is a piece for it.
    """
    workers: list[tuple[Channel[T], Channel[R]]] = []
    awaited: deque[Channel[R]] = deque()
    for number, piece in enumerate(pieces):
        if number < threads:
            workers.append(_employ(parts, work, number))
        elif len(awaited) == AHEAD * threads:
            yield next(awaited.popleft())
        given, made = workers[number % threads]
        given.write(piece)
        awaited.append(made)
    for given, _ in workers:
        given.finish()
    for made in awaited:
        yield next(made)


def _employ(parts: Pipeline, work: Callable[[T], R], number: int) -> tuple[Channel[T], Channel[R]]:
    """Start a thread; return the channels of what it is given and of what it makes."""
    given, made = parts.channel(), parts.channel()

    def run() -> None:
        for piece in given:
            made.write(work(piece))

    parts.start(run, f"worker-{number}")
    return given, made
