from __future__ import annotations

import io
import os
import threading

from ocibuild.progress.outlet import Outlet


def test_a_stream_without_a_descriptor_is_written_to() -> None:
    stream = io.StringIO()
    Outlet(stream).write("text\n")
    assert stream.getvalue() == "text\n"


def test_a_reader_that_went_away_is_survived() -> None:
    read, write = os.pipe()
    with open(write, "w") as stream:
        outlet = Outlet(stream)
        os.close(read)
        outlet.write("text\n")
        outlet.write("text\n")


def test_a_closed_stream_is_survived() -> None:
    stream = io.StringIO()
    stream.close()
    Outlet(stream).write("text\n")


def test_a_non_blocking_descriptor_gets_every_byte() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    received = bytearray()

    def drain() -> None:
        while chunk := os.read(read, 65536):
            received.extend(chunk)

    reader = threading.Thread(target=drain)
    with open(write, "w") as stream:
        reader.start()
        Outlet(stream).write("x" * 1_000_000)
    reader.join()
    os.close(read)
    assert len(received) == 1_000_000


def test_characters_that_the_encoding_lacks_become_question_marks() -> None:
    read, write = os.pipe()
    with open(write, "w", encoding="ascii") as stream:
        Outlet(stream).write("für\n")
    with open(read, "rb") as pipe:
        assert pipe.read() == b"f?r\n"


def test_what_the_stream_has_buffered_comes_first() -> None:
    read, write = os.pipe()
    with open(write, "w") as stream:
        stream.write("first\n")
        Outlet(stream).write("second\n")
    with open(read) as pipe:
        assert pipe.read() == "first\nsecond\n"
