from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from ocibuild.layer.channel import DEPTH, pipeline

if TYPE_CHECKING:
    from collections.abc import Callable


def test_pieces_pass_in_order() -> None:
    got: list[bytes] = []
    with pipeline() as parts:
        channel = parts.channel()
        parts.start(lambda: got.extend(channel), "reader")
        for number in range(100):
            channel.write(b"%d" % number)
        channel.write(b"")
        channel.finish()
    assert got == [b"%d" % number for number in range(100)]


def test_a_writer_waits_for_room() -> None:
    written: list[int] = []
    with pipeline() as parts:
        channel = parts.channel()

        def write() -> None:
            for number in range(DEPTH * 3):
                channel.write(b"x")
                written.append(number)
            channel.finish()

        parts.start(write, "writer")
        time.sleep(0.1)
        assert len(written) == DEPTH
        assert b"".join(channel) == b"x" * DEPTH * 3


def _fail() -> None:
    raise ValueError("the cause")


def _write_into_a_failing_thread() -> None:
    with pipeline() as parts:
        channel = parts.channel()
        parts.start(_fail, "failing")
        for _ in range(DEPTH * 10):
            channel.write(b"x")


def _fail_before_a_reading_thread() -> None:
    got: list[bytes] = []
    with pipeline() as parts:
        channel = parts.channel()
        parts.start(lambda: got.extend(channel), "reader")
        channel.write(b"x")
        _fail()


@pytest.mark.parametrize("work", [_write_into_a_failing_thread, _fail_before_a_reading_thread])
def test_a_failure_on_one_side_frees_the_other(work: Callable[[], None]) -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match="the cause"):
        work()
    assert threading.active_count() == before
