"""The lines of the terminal display as plain values: text on the left, a time on the right, and a style."""

from __future__ import annotations

import unicodedata
from enum import Enum
from typing import TYPE_CHECKING

from ocibuild.progress.text import duration, one_line, size
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.graph import Finished, Transferred
    from ocibuild.progress.running import RunningStep

_BAR = 20


class Style(Enum):
    """What a row is about, which decides its colour."""

    RUNNING = "bold"
    DONE = "blue"
    FAILED = "bold red"
    WARNING = "yellow"
    OUTPUT = "dim"
    TRANSFER = "none"
    STATUS = "cyan"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the display."""

    text: str
    style: Style
    right: str = ""

    def fitted(self, width: int) -> str:
        """Return the row as at most ``width`` columns; the left part is cut so that the right one is at the edge."""
        room = max(width - len(self.right) - 1, 0)
        left = cut(self.text.expandtabs(8), room)
        if not self.right:
            return left
        return (left + " " * (room - columns(left) + 1) + self.right)[:width]


def columns(text: str) -> int:
    """Return how many columns of a terminal ``text``, which is printable, takes."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Return ``text``, or as much of it as fits into ``width`` columns with an ellipsis of three dots."""
    if columns(text) <= width:
        return text
    if width <= 3:
        return "." * width
    used, end = 0, 0
    for end, char in enumerate(text):  # noqa: B007 (read after the loop)
        used += _columns(char)
        if used > width - 3:
            break
    return text[:end] + "..."


def finished_row(event: Finished) -> Row:
    """Return the line that a finished step leaves."""
    label = one_line(event.label)
    if event.error is not None:
        return Row(f" => ERROR {label}: {one_line(event.error)}", Style.FAILED, duration(event.seconds))
    state = "CACHED " if event.cached else "CANCELED " if event.cancelled else ""
    style = Style.WARNING if event.cancelled else Style.DONE
    return Row(f" => {state}{label}", style, duration(event.seconds))


def warning_row(message: str) -> Row:
    """Return the line that a warning leaves."""
    return Row(f" => WARNING: {one_line(message)}", Style.WARNING)


def status_row(title: str, seconds: float, done: int, *, failed: bool, over: bool) -> Row:
    """Return the line about the whole."""
    state = (" FAILED" if failed else " FINISHED") if over else ""
    style = Style.FAILED if failed and over else Style.STATUS
    return Row(f"[+] {title}{state} ({done} done)", style, duration(seconds))


def running_rows(steps: Sequence[RunningStep], now: float, height: int) -> list[Row]:
    """Return the lines about the running steps, at most ``height`` of them.

    Each step has its own line; what room is left goes to transfers, then to the tails of output, in equal parts.
    """
    shown = steps[-max(height, 1) :]
    spare = max(height - len(shown), 0)
    bars = [_share(list(step.transfers.values()), spare // max(len(shown), 1)) for step in shown]
    spare -= sum(map(len, bars))
    speaking = [step.tail() for step in shown]
    share = spare // max(sum(map(bool, speaking)), 1)
    rows: list[Row] = []
    for step, transfers, tail in zip(shown, bars, speaking, strict=True):
        rows.append(Row(f" => {step.label}", Style.RUNNING, duration(now - step.started)))
        rows += [transfer_row(event) for event in transfers]
        rows += [Row(f" => => # {line}", Style.OUTPUT) for line in tail[max(len(tail) - share, 0) :]]
    return rows


def _share(transfers: list[Transferred], room: int) -> list[Transferred]:
    """Return the transfers to show: the unfinished ones first where not all have room."""
    if len(transfers) <= room:
        return transfers
    active = [event for event in transfers if event.total is None or event.done < event.total]
    return active[:room]


def transfer_row(event: Transferred) -> Row:
    """Return the line about one transfer: a bar where its size is known, and bytes."""
    name = f" => => {one_line(event.verb)} {one_line(event.item)}"
    if event.total is None:
        return Row(name, Style.TRANSFER, size(event.done))
    filled = _BAR if event.done >= event.total else event.done * _BAR // event.total
    arrow = ">" if filled < _BAR else ""
    bar = f"{'=' * filled}{arrow}".ljust(_BAR)
    return Row(name, Style.TRANSFER, f"[{bar}] {size(event.done):>8} / {size(event.total):>8}")
