"""How large what comes from a stranger may be: documents, and images when they are unpacked."""

from __future__ import annotations

from typing import Final

from ocibuild.values import dataclass

MANIFEST_LIMIT: Final = 4 << 20
"""Bytes of a manifest or index; the least that every registry must take (distribution-spec, "Pushing Manifests")."""
CONFIG_LIMIT: Final = 16 << 20
"""Bytes of a config."""
MAX_LAYERS: Final = 1000
"""Layers of one image."""
DEEPEST_INDEX: Final = 3
"""Indexes that may lie in one another, the outermost included."""


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
