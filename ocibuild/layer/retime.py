"""A layer's tar written again with no time in it later than a given one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.layer.entry import Kind
from ocibuild.layer.reader import Pieces, TarReader
from ocibuild.layer.writer import TarWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def retime(plain: Iterator[bytes], write: Callable[[bytes | memoryview], object], latest_ns: int) -> None:
    """Write the entries of a plain tar again, each with its time or ``latest_ns``, whichever is earlier.

    ``plain`` are the bytes in pieces. Nothing else changes where ocibuild wrote the tar. Raises InvalidLayer.
    """
    reader, writer = TarReader(Pieces(plain)), TarWriter(write)
    for entry in reader:
        body = reader.body() if entry.kind is Kind.FILE else ()
        writer.add(replace(entry, mtime_ns=min(entry.mtime_ns, latest_ns)), body)
    writer.close()
