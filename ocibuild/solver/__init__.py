"""From a graph to layers: keys, cache, scheduler, and one file a kind of operation."""

from ocibuild.solver.plan import root_of
from ocibuild.solver.results import Solution
from ocibuild.solver.solve import Solver
from ocibuild.solver.workshop import Elsewhere, Inputs, NoOutlet, OriginOf, Outlet, Workshop

__all__ = ["Elsewhere", "Inputs", "NoOutlet", "OriginOf", "Outlet", "Solution", "Solver", "Workshop", "root_of"]
