"""What a build would do, without any of it: each step in order, cached or not, and why."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from ocibuild.graph import Context, Copy, GitTree, HttpFile, Image, MakeDirectory, Run, Scratch, sources
from ocibuild.solver.bringing import find_stack, layers_of
from ocibuild.solver.keys import key_of
from ocibuild.solver.known import Known
from ocibuild.solver.plan import LayerVertex, MadeVertex, base_chain, is_linked
from ocibuild.solver.reasons import open_reasons, tree_name
from ocibuild.solver.wanted import Extent, Wanted
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.graph import Vertex
    from ocibuild.oci import Digest
    from ocibuild.solver.keys import Inputs as Meaning
    from ocibuild.solver.reasons import Reasons
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


class DryRun:
    """Plans one target, and makes nothing."""

    def __init__(self, inputs: Inputs, *, use_cache: bool = True) -> None:
        self._inputs = inputs
        self._known = Known(inputs, use_cache=use_cache)

    def steps(self, target: Vertex) -> list[PlannedStep]:
        """Return what a build of ``target`` would do, in order; raises SourceError where a file is missing."""
        self._known.compute_keys(target)
        plan = self._known.plan(target)
        wanted, reasons = Wanted(plan, self._known), open_reasons(self._inputs, self._known)
        vertices = [vertex for vertex in plan.vertices if not isinstance(vertex, Scratch | Context)]
        return [self._step(vertex, wanted, reasons) for vertex in vertices]

    def _step(self, vertex: MadeVertex | Image, wanted: Wanted, reasons: Reasons) -> PlannedStep:
        known = self._known
        key, label, inputs = known.keys[vertex], vertex.origin.label, known.keys.inputs(vertex)
        if isinstance(vertex, Image) or key in known.elsewhere:
            return PlannedStep(label, key, self._fate_of_brought(vertex, wanted), inputs)
        by_content = self._by_known_content(vertex)
        may_be_known = key not in known.made and key not in known.anew
        if may_be_known and by_content and (made := known.cached(key_of(by_content))):
            known.made[key] = made
        if key in known.made:
            return PlannedStep(label, key, Fate.CACHED, inputs)
        why = reasons.why(vertex, by_content, self._becomes)
        unless = tuple(self._unsettled(vertex)) if why.in_trees_alone else ()
        fate = Fate.FETCH if isinstance(vertex, HttpFile | GitTree) else Fate.RUN
        return PlannedStep(label, key, fate, inputs, why.text, unless)

    def _fate_of_brought(self, vertex: Vertex, wanted: Wanted) -> Fate:
        """Return what becomes of an image, or of what a cache beyond the store has."""
        extent, layers = wanted.extent(vertex), layers_of(vertex, self._known)
        is_there = extent is Extent.NOTHING or find_stack(self._inputs.store, layers, extent) is not None
        if is_there and not wanted.blobs(vertex):
            return Fate.CACHED
        if not all(map(self._known.has_blob, layers)):
            return Fate.PULL
        return Fate.CACHED if is_there else Fate.UNPACK

    def _by_known_content(self, vertex: MadeVertex) -> Meaning | None:
        """Return the inputs of a second key where they are known without having a look at any file."""
        if not isinstance(vertex, LayerVertex) or any(isinstance(tree, LayerVertex) for tree in sources(vertex)):
            return None
        below = () if is_linked(vertex) else base_chain(vertex.base)
        has_run = all(self._known.keys[one] in self._known.made for one in below if isinstance(one, LayerVertex))
        return self._known.by_content(vertex, {}) if has_run else None

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
        key = self._known.keys[vertex]
        return isinstance(vertex, LayerVertex) and key not in self._known.made and key not in self._known.elsewhere
