"""Files compressed with xz, read with a bounded memory: the standard library's own reader has no bound."""

from __future__ import annotations

import lzma
from typing import BinaryIO

from ocibuild.errors import SourceError

_MAGIC = b"\xfd7zXZ\0"
_MEMORY = 256 << 20  # bytes; xz -9 needs 65 MiB
_PIECE = 64 << 10  # bytes


class XzFile:
    """The plain bytes of ``file``, of all streams in it; what follows the last one counts for nothing, as with xz(1).

    Reading raises EOFError where it ends too early, LZMAError where it is damaged, and SourceError where it wants too
    much memory.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._given = b""
        self._begin()

    def read1(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        while not self._decoder.eof or self._next():
            if self._decoder.needs_input and not self._given:
                self._given = self._file.read(_PIECE)
                if not self._given:
                    raise EOFError("the end is missing")
            if piece := self._decompress(size):
                return piece
        return b""

    def close(self) -> None:
        """Do nothing: the file is the caller's."""

    def _begin(self) -> None:
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)

    def _next(self) -> bool:
        """Begin the next stream, if there is one."""
        self._given = (self._decoder.unused_data + self._file.read(_PIECE)).lstrip(b"\0")
        if not self._given.startswith(_MAGIC):
            return False
        self._begin()
        return True

    def _decompress(self, size: int) -> bytes:
        given, self._given = self._given, b""
        try:
            return self._decoder.decompress(given, size)
        except lzma.LZMAError as error:
            if "limit" not in str(error):
                raise
            raise SourceError(
                f"a file compressed with xz needs more than {_MEMORY >> 20} MiB of memory to be unpacked",
                remedy="compress it again with xz -9 or less",
            ) from error
