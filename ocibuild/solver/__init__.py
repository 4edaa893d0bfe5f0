"""From a graph to layers: keys, cache, scheduler, and one file a kind of operation."""

from ocibuild.solver.plan import root_of
from ocibuild.solver.results import Solution
from ocibuild.solver.solve import Solver
from ocibuild.solver.workshop import Elsewhere, Inputs, NobodyWaits, OriginOf, Packed, Workshop, nobody_told

__all__ = [
    "Elsewhere",
    "Inputs",
    "NobodyWaits",
    "OriginOf",
    "Packed",
    "Solution",
    "Solver",
    "Workshop",
    "nobody_told",
    "root_of",
]
