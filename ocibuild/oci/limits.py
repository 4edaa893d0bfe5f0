"""How much an image may be when it is unpacked; ``layer`` holds images to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is too much.

    ``total``: plain bytes of all layers of an image together, the holes of sparse files and the copies that stand for
    hard links between layers among them. ``ratio``: plain to compressed bytes of one layer, from 1 GiB on.
    ``entries``: of one layer.
    """

    total: int = 128 << 30
    ratio: int = 200
    entries: int = 10_000_000
