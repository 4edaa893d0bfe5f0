"""Work on the pieces of a stream by several threads, which comes out in the order of the pieces."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ocibuild.layer.channel import Channel, Pipeline

AHEAD = 3
"""Pieces that a thread has at most, the one that it works on included: no more than fit into a channel."""


class _Worker(NamedTuple):
    given: Channel
    made: Channel


def map_in_order(
    parts: Pipeline, threads: int, work: Callable[[bytes], bytes], pieces: Iterable[bytes]
) -> Iterator[bytes]:
    """Yield ``work`` of each piece, as ``map()`` does, but done by ``threads`` threads of ``parts``.

    Neither a piece nor what is made of it may be empty. The pieces are dealt to the threads in turn, so nothing depends
    on which one is the quickest; each starts when there is a piece for it.
    """
    workers: list[_Worker] = []
    awaited: deque[Channel] = deque()
    for number, piece in enumerate(pieces):
        if number < threads:
            workers.append(_employ(parts, work, number))
        elif len(awaited) == AHEAD * threads:
            yield awaited.popleft().read()
        worker = workers[number % threads]
        worker.given.write(piece)
        awaited.append(worker.made)
    for worker in workers:
        worker.given.finish()
    for made in awaited:
        yield made.read()


def _employ(parts: Pipeline, work: Callable[[bytes], bytes], number: int) -> _Worker:
    given, made = parts.channel(), parts.channel()

    def run() -> None:
        for piece in given:
            made.write(work(piece))

    parts.start(run, f"worker-{number}")
    return _Worker(given, made)
