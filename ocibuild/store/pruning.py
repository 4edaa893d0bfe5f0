"""Which items of a store are to go: a pure function of what there is, and of what is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.store.items import Kind
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ocibuild.store.items import Item


@dataclass(frozen=True, slots=True)
class Pruning:
    """What is asked for: ``everything`` is also what images of the store have, and layers that were unpacked.

    Of that goes what is of one of the ``kinds`` and has one of the ``ids``, where any are given, and was last used
    before ``until``, in nanoseconds since 1970; and with ``keep`` only as much of it, the least recently used first,
    that no more than these bytes are left.
    """

    everything: bool = False
    kinds: frozenset[Kind] = frozenset()
    ids: frozenset[str] = frozenset()
    until: int | None = None
    keep: int | None = None

    def means(self, item: Item) -> bool:
        """Tell whether an item is among those that are asked about."""
        if (self.kinds and item.kind not in self.kinds) or (self.ids and item.id not in self.ids):
            return False
        return self.until is None or item.used < self.until

    def allows(self, item: Item) -> bool:
        """Tell whether an item may go; one that somebody works with never may."""
        is_named = bool(self.kinds or self.ids)
        is_spare = self.everything or is_named or not (item.shared or item.kind is Kind.LAYER)
        return is_spare and self.means(item) and not item.in_use


def chosen(items: Sequence[Item], pruning: Pruning) -> Iterable[Item]:
    """Yield the items that are to go, in the order of ``items``."""
    left = sum(item.size for item in items)
    for item in items:
        if pruning.keep is not None and left <= pruning.keep:
            return
        if pruning.allows(item):
            left -= item.size
            yield item
