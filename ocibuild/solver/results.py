"""What solving gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocibuild.store import Layer, Snapshot


@dataclass(frozen=True, slots=True)
class Made:
    """The result of a vertex that makes a layer: its changes, and when they were made (RFC 3339)."""

    snapshot: Snapshot
    created: str


@dataclass(frozen=True, slots=True)
class Solution:
    """The tree of a target: ``layers`` of its base and its own, oldest first; ``created`` for each of its own.

    ``last_step`` is the number of the last step that events told of.
    """

    layers: tuple[Layer, ...]
    created: tuple[str, ...]
    last_step: int
