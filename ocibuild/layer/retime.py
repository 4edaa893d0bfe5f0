"""A layer's tar written again with no time in it later than a given one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.layer.entry import Kind
from ocibuild.layer.reader import Pieces, TarReader
from ocibuild.layer.writer import TarWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ocibuild.layer.entry import Entry


def retime(plain: Iterator[bytes], write: Callable[[bytes | memoryview], object], latest_ns: int) -> None:
    """Write the entries of a plain tar again, each with its time or ``latest_ns``, whichever is earlier.

    ``plain`` are the bytes in pieces. Nothing else changes where ocibuild wrote the tar. Raises InvalidLayer.
    """
    writer = TarWriter(write)
    for entry, body in entries_of(plain, latest_ns):
        writer.add(entry, body)
    writer.close()


def entries_of(plain: Iterator[bytes], latest_ns: int | None = None) -> Iterator[tuple[Entry, Iterable[memoryview]]]:
    """Yield the entries of a plain tar, with no time later than one that is given, each with what reads its body."""
    reader = TarReader(Pieces(plain))
    for entry in reader:
        body = reader.body() if entry.kind is Kind.FILE else ()
        yield entry if latest_ns is None else replace(entry, mtime_ns=min(entry.mtime_ns, latest_ns)), body
