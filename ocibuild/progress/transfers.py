"""Thins out the events of transfers, which come with every chunk, to what is worth a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ocibuild.graph import Transferred

_Key: TypeAlias = tuple[str, str]


def complete(event: Transferred) -> bool:
    """Return whether all of the item was moved, as far as its size is known."""
    return event.total is not None and event.done >= event.total


class Transfers:
    """The transfers of one step: which of their events to show, at most one in ``every`` seconds for each item."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._shown_at: dict[_Key, float] = {}
        self._held: dict[_Key, Transferred] = {}
        self._complete: set[_Key] = set()

    def due(self, event: Transferred, at: float) -> bool:
        """Return whether to show ``event``: the first, the completing one, and those far enough between.

        ``at`` is in seconds on any clock. A completed item that goes backwards has started again.
        """
        key = (event.verb, event.item)
        if key in self._complete and complete(event):
            return False
        shown = self._shown_at.get(key)
        if shown is not None and not complete(event) and at - shown < self._every:
            self._held[key] = event
            return False
        self._held.pop(key, None)
        self._shown_at[key] = at
        (self._complete.add if complete(event) else self._complete.discard)(key)
        return True

    def held(self) -> tuple[Transferred, ...]:
        """Return the last event of each item where it was not shown, in the order of the items."""
        return tuple(self._held.values())
