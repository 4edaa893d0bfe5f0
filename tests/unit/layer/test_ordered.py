from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocibuild.layer.channel import DEPTH, Closed, pipeline
from ocibuild.layer.ordered import AHEAD, map_in_order

if TYPE_CHECKING:
    from collections.abc import Iterator


def _numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def _marked(piece: bytes) -> bytes:
    return piece + b"!"


@settings(max_examples=60, deadline=None)
@given(threads=st.sampled_from([1, 2, 3, 8]), pieces=st.lists(st.binary(min_size=1, max_size=3), max_size=60))
def test_it_gives_what_map_gives(threads: int, pieces: list[bytes]) -> None:
    with pipeline() as parts:
        assert list(map_in_order(parts, threads, _marked, pieces)) == list(map(_marked, pieces))


def test_a_quick_piece_waits_for_the_slow_one_before_it() -> None:
    is_second_done = threading.Event()

    def work(piece: bytes) -> bytes:
        if piece == b"0":
            is_second_done.wait()
        if piece == b"1":
            is_second_done.set()
        return piece

    with pipeline() as parts:
        assert list(map_in_order(parts, 2, work, _numbers(20))) == _numbers(20)


def test_pieces_are_worked_on_at_the_same_time_in_as_many_threads_as_said() -> None:
    together = threading.Barrier(3)

    def work(piece: bytes) -> bytes:
        together.wait()
        return piece

    with pipeline() as parts:
        assert list(map_in_order(parts, 3, work, _numbers(9))) == _numbers(9)


def test_no_more_threads_are_started_than_there_are_pieces() -> None:
    names: set[str] = set()

    def work(piece: bytes) -> bytes:
        names.add(threading.current_thread().name)
        return piece

    with pipeline() as parts:
        assert list(map_in_order(parts, 8, work, _numbers(2))) == _numbers(2)
    assert names == {"worker-0", "worker-1"}


@pytest.mark.parametrize("threads", [1, 3])
def test_few_pieces_are_taken_before_the_first_result_is(threads: int) -> None:
    taken: list[int] = []

    def endless() -> Iterator[bytes]:
        for number in count():
            taken.append(number)
            yield b"x"

    with pipeline() as parts:
        results = map_in_order(parts, threads, lambda piece: piece, endless())
        for number in range(50):
            assert next(results) == b"x"
            assert len(taken) == AHEAD * threads + number + 1
        parts.fail(Closed())
    assert AHEAD <= DEPTH, "a piece more would wait for room where the result is to be taken"


def _fail(piece: bytes) -> bytes:
    if piece.startswith(b"30"):
        raise ValueError("the cause")
    return piece


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_a_failure_in_a_thread_ends_them_all(threads: int) -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match="the cause"), pipeline() as parts:
        list(map_in_order(parts, threads, _fail, _numbers(1000)))
    assert threading.active_count() == before


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_a_failure_of_who_takes_the_results_ends_them_all(threads: int) -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match="the cause"), pipeline() as parts:
        list(map(_fail, map_in_order(parts, threads, _marked, _numbers(1000))))
    assert threading.active_count() == before
