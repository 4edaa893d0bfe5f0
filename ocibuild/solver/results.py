"""What solving gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.values import dataclass

if TYPE_CHECKING:
    from ocibuild.store import Layer, LayerRecord, Snapshot


@dataclass(frozen=True, slots=True)
class Made:
    """The result of a vertex that makes a layer: its changes, and when they were made (RFC 3339)."""

    snapshot: Snapshot
    created: str


@dataclass(frozen=True, slots=True)
class Solution:
    """The tree of a target: ``base`` has the layers below its ``own``, each oldest first.

    ``others`` are results beside it whose layers were wanted too. ``last_step`` is the number of the last step that
    events told of.
    """

    base: tuple[Layer, ...]
    own: tuple[LayerRecord, ...]
    others: tuple[LayerRecord, ...]
    last_step: int

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers of the target, oldest first."""
        return (*self.base, *(record.layer for record in self.own))
