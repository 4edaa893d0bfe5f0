from __future__ import annotations

import pytest

from ocibuild.store import Item, Kind, Pruning
from ocibuild.store.pruning import chosen


def _item(name: str, kind: Kind = Kind.STEP, *, used: int, shared: bool = False, in_use: bool = False) -> Item:
    return Item(kind, name, 10, 0, used, "", shared, in_use)


# the least recently used first, as they come from a store
ITEMS = [
    _item("old", used=1),
    _item("image's", used=2, shared=True),
    _item("layer", Kind.LAYER, used=3),
    _item("cache", Kind.CACHE, used=4),
    _item("working", used=5, in_use=True),
    _item("blob", Kind.BLOB, used=6),
    _item("new", used=7),
]


@pytest.mark.parametrize(
    ("pruning", "expected"),
    [
        (Pruning(), "old cache blob new"),
        (Pruning(everything=True), "old image's layer cache blob new"),
        (Pruning(kinds=frozenset({Kind.LAYER, Kind.CACHE})), "layer cache"),
        (Pruning(ids=frozenset({"image's", "working"})), "image's"),
        (Pruning(until=4), "old"),
        (Pruning(everything=True, until=4), "old image's layer"),
        (Pruning(keep=70), ""),
        (Pruning(keep=69), "old"),
        (Pruning(keep=50), "old cache"),
        (Pruning(keep=0), "old cache blob new"),
        (Pruning(everything=True, keep=45), "old image's layer"),
        (Pruning(until=1), ""),
    ],
)
def test_what_goes(pruning: Pruning, expected: str) -> None:
    assert [item.id for item in chosen(ITEMS, pruning)] == expected.split()
