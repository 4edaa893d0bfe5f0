"""Where the display is written to: a stream that may be slow, non-blocking, closed, or unable to show a character."""

from __future__ import annotations

import os
import select
from typing import TextIO


class Outlet:
    """Writes text to ``stream`` and never raises: once a write has failed, the rest is thrown away.

    A stream with a descriptor is written through that, not through its buffer: another process may have made the
    descriptor non-blocking (terminals are shared), which a buffer does not survive. Not for several threads at once.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        self._open = True
        self._fd = self._descriptor()

    def _descriptor(self) -> int | None:
        try:
            self._stream.flush()
            return self._stream.fileno()
        except (OSError, ValueError):  # io.UnsupportedOperation is both
            return None

    def write(self, text: str) -> int:
        """Write ``text`` as far as the stream takes it; characters that its encoding lacks become ``?``."""
        data = text.encode(self.encoding, "replace")
        try:
            if self._open:
                self._put(data)
        except (OSError, ValueError):
            self._open = False
        return len(text)

    def _put(self, data: bytes) -> None:
        if self._fd is None:
            self._stream.write(data.decode(self.encoding))
            self._stream.flush()
            return
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                select.select([], [self._fd], [])

    def flush(self) -> None:
        """Do nothing: what was written is out already."""

    def fileno(self) -> int:
        """Return the descriptor. Raises OSError where there is none."""
        if self._fd is None:
            raise OSError("the stream has no descriptor")
        return self._fd

    def isatty(self) -> bool:
        """Return whether the descriptor is a terminal."""
        return self._fd is not None and os.isatty(self._fd)
