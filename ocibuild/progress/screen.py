"""Draws rows on a terminal with ``rich``. The only module that imports it, and itself imported only to draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO, cast

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.progress.outlet import Outlet
    from ocibuild.progress.rows import Row


class Screen:
    """A live region at the bottom of the terminal, above which finished lines scroll away."""

    def __init__(self, outlet: Outlet) -> None:
        self._console = Console(
            file=cast("TextIO", outlet),
            force_terminal=True,
            force_interactive=True,
            force_jupyter=False,
            legacy_windows=False,
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def open(self) -> None:
        """Hide the cursor and begin."""
        self._live.start()

    def draw(self, done: Sequence[Row], live: Sequence[Row], width: int, height: int) -> None:
        """Print ``done`` for good and replace the live region by ``live``, on a terminal of this size."""
        self._console.size = (width, height)
        with self._console:  # gathers all of it into one write
            self._live.update(_drawn(live, width), refresh=True)
            if done:  # after: what is printed is followed by the region as it was last drawn
                self._console.print(_drawn(done, width))

    def close(self, done: Sequence[Row], width: int, height: int) -> None:
        """Print ``done``, remove the live region and show the cursor again."""
        try:
            self.draw(done, (), width, height)
        finally:
            self._live.stop()


def _drawn(rows: Sequence[Row], width: int) -> Group:
    lines = (Text(row.fitted(width), style=row.style.value, no_wrap=True, overflow="crop") for row in rows)
    return Group(*lines)
