"""From a graph to layers: keys, cache, scheduler, and one file a kind of operation."""

from ocibuild.solver.plan import root_of
from ocibuild.solver.results import Solution
from ocibuild.solver.solve import Solver
from ocibuild.solver.workshop import Elsewhere, Inputs, OriginOf, Packed, Workshop, nobody_told, nobody_waits

__all__ = [
    "Elsewhere",
    "Inputs",
    "OriginOf",
    "Packed",
    "Solution",
    "Solver",
    "Workshop",
    "nobody_told",
    "nobody_waits",
    "root_of",
]
