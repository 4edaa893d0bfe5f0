"""What a build would do, without any of it: each step in order, cached or not, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn

from ocibuild.graph import Context, Copy, GitTree, HttpFile, Image, MakeDirectory, Run, Scratch, sources
from ocibuild.solver.keys import key_of
from ocibuild.solver.plan import LayerVertex, MadeVertex, base_chain, is_linked
from ocibuild.solver.reasons import tree_name
from ocibuild.solver.results import Tree
from ocibuild.solver.solve import Solver, wanted_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.graph import Vertex
    from ocibuild.oci import Digest
    from ocibuild.solver.keys import Inputs as Meaning
    from ocibuild.solver.plan import Plan
    from ocibuild.solver.workshop import Inputs


class Fate(StrEnum):
    """What a build would do about a step."""

    CACHED = "cached"
    RUN = "run"
    PULL = "pull"
    UNPACK = "unpack"
    FETCH = "fetch"


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step of a build that was not run: ``why`` it is not cached, and what must change for it to run after all.

    ``unless`` is empty where it runs in any case; else it does not where each of these turns out to be as before.
    """

    label: str
    key: Digest
    fate: Fate
    inputs: Meaning
    why: str | None = None
    unless: tuple[str, ...] = ()


class DryRun(Solver):
    """Plans one target, and makes nothing."""

    def __init__(self, inputs: Inputs, *, use_cache: bool = True) -> None:
        super().__init__(inputs, _nothing_is_made, jobs=1, use_cache=use_cache)

    def steps(self, target: Vertex) -> list[PlannedStep]:
        """Return what a build of ``target`` would do, in order; raises SourceError where a file is missing."""
        self._compute_keys(target)
        plan = self._plan(target)
        return [self._step(vertex, plan) for vertex in plan.vertices if not isinstance(vertex, Scratch | Context)]

    def _step(self, vertex: MadeVertex | Image, plan: Plan) -> PlannedStep:
        key, label, inputs = self._keys[vertex], vertex.origin.label, self._keys.inputs(vertex)
        if isinstance(vertex, Image) or key in plan.elsewhere:
            return PlannedStep(label, key, self._fate_of_brought(vertex, plan), inputs)
        by_content = self._by_known_content(vertex)
        may_be_known = key not in self._made and key not in self._anew
        if may_be_known and by_content and (made := self._cached(key_of(by_content))):
            self._made[key] = made
        if key in self._made or key in self._elsewhere:
            return PlannedStep(label, key, Fate.CACHED, inputs)
        why = self._reasons.why(vertex, by_content, self._becomes)
        unless = tuple(self._unsettled(vertex)) if why.in_trees_alone else ()
        fate = Fate.FETCH if isinstance(vertex, HttpFile | GitTree) else Fate.RUN
        return PlannedStep(label, key, fate, inputs, why.text, unless)

    def _fate_of_brought(self, vertex: Vertex, plan: Plan) -> Fate:
        """Return what becomes of an image, or of what a cache beyond the store has."""
        key = self._keys[vertex]
        packed = [one for one in plan.chain if isinstance(one, LayerVertex) and self._must_pack(one)]
        names = set(self._root_keys((one.base for one in packed if not is_linked(one)), plan.elsewhere))
        tree = wanted_tree(key, plan, names)
        is_there = self._is_there(vertex, tree) if isinstance(vertex, Image) else tree is Tree.NOTHING
        if is_there and key not in self._root_keys([plan.chain[-1]], plan.elsewhere):
            return Fate.CACHED
        if not all(map(self._has_blob, self._layers_of(vertex))):
            return Fate.PULL
        return Fate.CACHED if is_there else Fate.UNPACK

    def _by_known_content(self, vertex: MadeVertex) -> Meaning | None:
        """Return the inputs of a second key where they are known without having a look at any file."""
        if not isinstance(vertex, LayerVertex) or any(isinstance(tree, LayerVertex) for tree in sources(vertex)):
            return None
        below = () if is_linked(vertex) else base_chain(vertex.base)
        is_known = all(self._keys[one] in self._made for one in below if isinstance(one, LayerVertex))
        return self._by_content(vertex) if is_known else None

    def _becomes(self, vertex: Vertex) -> str:
        return "runs again" if self._runs(vertex) else "is another"

    def _unsettled(self, vertex: MadeVertex) -> Iterator[str]:
        """Yield what will be known only once the steps before are done."""
        if not isinstance(vertex, Run | Copy | MakeDirectory):
            return
        if self._runs(vertex.base) and not is_linked(vertex):
            yield f"the result of {tree_name(vertex.base)}"
        for tree in dict.fromkeys(sources(vertex)):
            if self._runs(tree):
                yield f"what it takes from {tree_name(tree)}"

    def _runs(self, vertex: Vertex) -> bool:
        key = self._keys[vertex]
        return isinstance(vertex, LayerVertex) and key not in self._made and key not in self._elsewhere


def _nothing_is_made() -> NoReturn:
    raise AssertionError("a dry run makes nothing")
