"""How much has to be there of what comes from elsewhere."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from ocibuild.solver.plan import LayerVertex, is_linked, roots

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ocibuild.graph import Vertex
    from ocibuild.oci import Digest
    from ocibuild.solver.known import Known
    from ocibuild.solver.plan import Plan


class Extent(Enum):
    """How much of a tree has to be there: nothing of it, its outline, or all of it."""

    NOTHING = "nothing"
    OUTLINE = "outline"
    FILES = "files"


class Wanted:
    """What a plan wants: ``to_pack`` are the vertices whose layers are to be packed yet.

    That is the target's own chain, and with ``pack_all`` all others too.
    """

    def __init__(self, plan: Plan, known: Known, *, pack_all: bool = False) -> None:
        self._plan = plan
        self._known = known
        vertices = plan.vertices if pack_all else plan.chain
        self.to_pack = [one for one in vertices if isinstance(one, LayerVertex) and known.must_pack(one)]
        # packing looks at the names of what lies below
        below = [vertex.base for vertex in self.to_pack if not is_linked(vertex)]
        self._outlines = plan.outlines | set(self._roots(below))
        self._blobs = set(self._roots([plan.chain[-1]]))

    def extent(self, vertex: Vertex) -> Extent:
        """Return how much of the tree of a vertex that comes from elsewhere is wanted."""
        key = self._known.keys[vertex]
        if key in self._plan.files:
            return Extent.FILES
        return Extent.OUTLINE if key in self._outlines else Extent.NOTHING

    def blobs(self, vertex: Vertex) -> bool:
        """Tell whether the image has the layers of a vertex that comes from elsewhere."""
        return self._known.keys[vertex] in self._blobs

    def _roots(self, trees: Iterable[Vertex]) -> Iterator[Digest]:
        keys, elsewhere = self._known.keys, self._plan.elsewhere
        return (keys[root] for tree in trees for root in roots(tree, keys, elsewhere))
