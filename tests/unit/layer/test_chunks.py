from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocibuild.layer.channel import pipeline
from ocibuild.layer.chunks import CHUNK, Chunker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocibuild.layer.channel import Channel

PLAIN = random.Random(1).randbytes(3 * CHUNK + 1)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    """PLAIN as an open file."""
    (tmp_path / "file").write_bytes(PLAIN)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    yield fd
    os.close(fd)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(
        st.integers(0, len(PLAIN)) | st.sampled_from([1, 512, 32 << 10, CHUNK, CHUNK + 1, 2 * CHUNK]), max_size=8
    ),
    length=st.sampled_from([0, 1, 32 << 10, 32769, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK, len(PLAIN)]),
    are_written=st.lists(st.booleans(), min_size=10, max_size=10),
)
def test_chunks_are_the_same_whatever_the_pieces_were(
    cuts: list[int], length: int, are_written: list[bool], file: int
) -> None:
    """Pieces are written, or read from a file."""
    chunks: list[bytes] = []
    told: list[int] = []
    with pipeline() as parts:

        def start() -> list[Channel[bytes]]:
            channel = parts.channel()
            parts.start(lambda: chunks.extend(map(bytes, channel)), "reader")
            return [channel]

        chunker = Chunker(start, told.append)
        bounds = sorted({0, length, *(cut for cut in cuts if cut < length)})
        for is_written, begin, end in zip(are_written, bounds, bounds[1:], strict=False):
            if is_written:
                chunker.write(PLAIN[begin:end])
            else:
                os.lseek(file, begin, os.SEEK_SET)
                assert chunker.read(file, end - begin) == end - begin
        only = chunker.finish()
    assert (only is None) == (length > CHUNK)
    expected = [PLAIN[at : min(at + CHUNK, length)] for at in range(0, max(length, 1), CHUNK)]
    assert (chunks if only is None else [only]) == expected
    assert sum(told) == length


def test_a_file_that_is_shorter_gives_what_it_has(file: int) -> None:
    with pipeline() as parts:
        chunker = Chunker(lambda: [parts.channel()])
        os.lseek(file, -10, os.SEEK_END)
        assert chunker.read(file, 100) == 10
        assert chunker.finish() == PLAIN[-10:]
