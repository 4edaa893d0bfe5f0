"""What the terminal display remembers of a step while it runs."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ocibuild.graph import Stream
from ocibuild.progress.text import Lines, one_line

if TYPE_CHECKING:
    from ocibuild.graph import Output, Transferred

TAIL = 6
"""Lines of a running step's output that are shown."""


class RunningStep:
    """What is known of a step that has begun and not ended."""

    def __init__(self, label: str, started: float) -> None:
        self.label = one_line(label)
        self.started = started
        self.transfers: dict[tuple[str, str], Transferred] = {}
        self._lines = {stream: Lines() for stream in Stream}
        self._whole: deque[str] = deque(maxlen=TAIL)

    def take(self, output: Output) -> None:
        """Take in a piece of output."""
        self._whole.extend(line for line in self._lines[output.stream].feed(output.text) if line)

    def tail(self) -> list[str]:
        """Return the last lines of output, oldest first, unfinished ones included."""
        unfinished = [lines.unfinished for lines in self._lines.values()]
        return [*self._whole, *filter(None, unfinished)][-TAIL:]
