"""Why steps are not cached, and which steps of before they are like: questions to the records of a store."""

from __future__ import annotations

import hashlib
import json
import re
import time
from typing import TYPE_CHECKING, Any, assert_never

from ocibuild.graph import (
    BindMount,
    Context,
    Copy,
    GitTree,
    HttpFile,
    Image,
    Inline,
    MakeDirectory,
    Run,
    Scratch,
    shown_url,
)
from ocibuild.graph import inputs as inputs_of
from ocibuild.solver.explain import (
    ONE,
    Surroundings,
    Taken,
    differ_in_files_alone,
    differ_in_trees_alone,
    distance,
    explain,
)
from ocibuild.solver.keys import canonical
from ocibuild.solver.plan import base_chain
from ocibuild.store import MadeFrom
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from ocibuild.graph import CopySource, Vertex
    from ocibuild.oci import Digest
    from ocibuild.solver.keys import Inputs, Keys
    from ocibuild.solver.known import Known
    from ocibuild.solver.listings import Listings
    from ocibuild.solver.plan import MadeVertex
    from ocibuild.solver.workshop import Inputs as BuildInputs
    from ocibuild.store import Earlier, Records

_NEAR = 6
"""Steps of before that are looked at in one place, the last ones made."""
_NOT_NAMED = 2
"""The rank of the first place that says neither what a step does nor what a user calls it: see ``_places()``."""
_COMPARED = 3
"""Steps of before whose changes are held against those of one."""
_NUMBER = re.compile(r"\s*[0-9]+/[0-9]+\]")
_BRACKET = re.compile(r"\[[^\]]*\]")
_INSTRUCTION = re.compile(r"\] (COPY|ADD) ")


class _Candidate(NamedTuple):
    """A step of before that one of now may be compared with, ``inputs`` being those of now in the same form.

    ``rank`` is the place where it was found, the first that says the most.
    """

    apart: int
    rank: int
    earlier: Earlier
    old: Inputs
    inputs: Inputs


class Why(NamedTuple):
    """Why a step is not cached, in one line; ``in_trees_alone`` where its own inputs are as before."""

    text: str
    in_trees_alone: bool = False


class Reasons:
    """Says of the steps of one build why they are not cached; safe to use from threads.

    A step is asked about after those that it stands on. ``outdated`` are the keys of what was to be made anew, and of
    what rests on that, ``lost`` of what a cache elsewhere could not give.
    """

    def __init__(
        self,
        records: Records,
        keys: Keys,
        listings: Listings,
        *,
        use_cache: bool,
        outdated: Container[Digest] = frozenset(),
        lost: Container[Digest] = frozenset(),
    ) -> None:
        self._records = records
        self._keys = keys
        self._listings = listings
        self._use_cache = use_cache
        self._outdated = outdated
        self._lost = lost
        self._begun = time.time_ns()
        self._like: dict[Digest, Digest] = {}  # by key, that of the step of before which took its place
        self._told: dict[Digest, str] = {}  # by key

    def made_from(self, vertex: MadeVertex) -> MadeFrom:
        """Return what is recorded with the result of a step under its key."""
        inputs = self._keys.inputs(vertex)
        held = self._listings.held()
        taken = {source["context"] for source in inputs.get("sources", ()) if "context" in source}
        listings = {digest: make for digest, make in held.items() if digest in taken}
        return MadeFrom(canonical(inputs), tuple(_places(vertex, inputs)), listings)

    def made_from_content(self, inputs: Inputs) -> MadeFrom:
        """Return what is recorded with it under its second key, which is of these inputs."""
        return MadeFrom(canonical(inputs), (_place_on(inputs),))

    def is_like(self, vertex: MadeVertex, snapshot: int) -> None:
        """Remember of a step that the step of before which made a snapshot took its place."""
        for key, _ in self._records.inputs.of_snapshots([snapshot]).values():
            self._like[self._keys[vertex]] = key

    def on_the_same(self, inputs: Inputs) -> list[Earlier]:
        """Return some steps of before, on the same tree, that may have changed the same in it; the most alike first.

        ``inputs`` are those of a second key. Of a COPY the files are the same, not only the tree, and of a WORKDIR the
        time that it gives to directories.
        """
        same = ("sources", "time")
        near = self._on_the_same(inputs)
        found = [one for one in near if all(one.old.get(name) == one.inputs.get(name) for name in same)]
        return [one.earlier for one in sorted(found, key=_likeness)[:_COMPARED]]

    def of_other_files(self, vertex: Copy) -> list[Earlier]:
        """Return some COPYs of before that took the same paths to the same place, the most alike first.

        The files may be others, and so may what these stand on. There are none for what is to be made anew.
        """
        if not self._use_cache or self._keys[vertex] in self._outdated:
            return []
        inputs = _as_kept(self._keys.inputs(vertex))
        near = self._near([_place_of_operation(vertex, inputs)], inputs)
        found = [one for one in near if differ_in_files_alone(one.old, one.inputs)]
        return [one.earlier for one in sorted(found, key=_likeness)]

    def why(self, vertex: MadeVertex, by_content: Inputs | None, became: Callable[[Vertex], str]) -> Why:
        """Return why there is no result of a step from before.

        ``by_content`` are the inputs of its second key, where it has one, and ``became`` says what has become of a step
        that it needs.
        """
        key = self._keys[vertex]
        if not self._use_cache:
            return Why("--no-cache")
        if key in self._outdated:
            remade = self._made_anew(vertex, became)
            return Why(remade, in_trees_alone=True) if remade else Why("--no-cache-filter")
        if self._records.get(key) is not None:
            return Why("its result has owners of files in a form that is of no use here")
        if self._records.was_pruned(key):
            return Why("its result was pruned")
        if key in self._lost:
            return Why("the cache that has its result could not give it")
        nearest = self._nearest(vertex, by_content)
        if nearest is None:
            return Why("never built before")
        self.is_like(vertex, nearest.earlier.snapshot)
        text = explain(nearest.old, nearest.inputs, self._surroundings(vertex, became)) or "its result is gone"
        self._told[key] = text
        return Why(text, differ_in_trees_alone(nearest.old, nearest.inputs))

    def _nearest(self, vertex: MadeVertex, by_content: Inputs | None) -> _Candidate | None:
        """Return the step of an earlier build that a user would say is this one."""
        by_key = list(self._candidates(vertex))
        ranks = {one.earlier.snapshot: one.rank for one in reversed(by_key)}
        on_the_same = self._on_the_same(by_content) if by_content else ()
        same = [one._replace(rank=ranks.get(one.earlier.snapshot, _NOT_NAMED)) for one in on_the_same]
        # at equal distance, what its inputs are says more than how they were made
        useful = ([one for one in group if self._was_before(one, vertex)] for group in (same, by_key))
        found = [one for group in useful for one in sorted(group, key=_likeness)[:1]]
        return min(found, key=lambda one: (one.apart, one.rank), default=None)

    def _was_before(self, one: _Candidate, vertex: MadeVertex) -> bool:
        """Tell whether a step of an earlier build may be what this one was before somebody edited it."""
        if one.earlier.begun >= self._begun:
            return False
        if one.rank < _NOT_NAMED or distance(one.old, one.inputs, trees=False) <= ONE:
            return True
        return _position(one.earlier.label) == _position(vertex.origin.label)

    def _made_anew(self, vertex: MadeVertex, became: Callable[[Vertex], str]) -> str:
        """Return what became of the steps made anew that ``vertex`` rests on; empty where it is one itself."""
        if vertex.origin.anew:
            return ""
        chains = [base_chain(tree) for tree in dict.fromkeys(inputs_of(vertex))]
        nearest = [next((one for one in chain if self._keys[one] in self._outdated), None) for chain in chains]
        return "; ".join(f"{tree_name(one)} {became(one)}" for one in dict.fromkeys(nearest) if one)

    def _candidates(self, vertex: MadeVertex) -> Iterator[_Candidate]:
        inputs = _as_kept(self._keys.inputs(vertex))
        places = [*_places(vertex, inputs)]
        like = self._like.get(inputs.get("parent", ""))
        if like is not None:
            places.append(_place_below(inputs["kind"], like))
        return self._near(places, inputs)

    def _on_the_same(self, inputs: Inputs) -> Iterator[_Candidate]:
        return self._near([_place_on(inputs)], _as_kept(inputs))

    def _near(self, places: Iterable[str], inputs: Inputs) -> Iterator[_Candidate]:
        seen = set()
        for rank, place in enumerate(places):
            for earlier in self._records.inputs.near(place, _NEAR):
                if earlier.key not in seen:
                    seen.add(earlier.key)
                    old = json.loads(earlier.inputs)
                    yield _Candidate(distance(old, inputs), rank, earlier, old, inputs)

    def _surroundings(self, vertex: MadeVertex, became: Callable[[Vertex], str]) -> Surroundings:
        files = self._listings.get
        match vertex:
            case Copy():
                taken = tuple(self._taken(vertex, source, became) for source in vertex.sources)
                return Surroundings(_tree(vertex.base, became), taken, files=files)
            case Run():
                shown = {one.target: self._shown(one, became) for one in vertex.mounts if isinstance(one, BindMount)}
                return Surroundings(_tree(vertex.base, became), mounts=shown, files=files)
            case MakeDirectory():
                return Surroundings(_tree(vertex.base, became), files=files)
            case _:
                return Surroundings(Taken(""), files=files)

    def _shown(self, mount: BindMount, became: Callable[[Vertex], str]) -> str:
        """Return what became of what is mounted: of files of a build context, which of them."""
        tree = mount.source
        if isinstance(tree, Copy) and isinstance(tree.base, Scratch):
            return self._told.get(self._keys[tree], "")
        return " ".join(_tree(tree, became))

    def _taken(self, vertex: Copy, source: CopySource, became: Callable[[Vertex], str]) -> Taken:
        if isinstance(source.tree, Context):
            instruction = _INSTRUCTION.search(vertex.origin.label)
            return Taken(" ".join([*(instruction.groups() if instruction else ()), *source.paths]))
        return _tree(source.tree, became)


def _tree(vertex: Vertex, became: Callable[[Vertex], str]) -> Taken:
    is_step = isinstance(vertex, Run | Copy | MakeDirectory)
    return Taken(tree_name(vertex), became(vertex)) if is_step else Taken(tree_name(vertex))


def open_reasons(inputs: BuildInputs, known: Known) -> Reasons:
    """Return the reasons of one build."""
    records = inputs.store.records
    return Reasons(
        records, known.keys, known.listings, use_cache=known.use_cache, outdated=known.outdated, lost=known.lost
    )


def tree_name(vertex: Vertex) -> str:
    """Return what a user calls a tree: a step by its number, as ``[builder 2/5]``."""
    match vertex:
        case Image():
            return vertex.reference.familiar()
        case Run() | Copy() | MakeDirectory():
            bracket = _BRACKET.match(vertex.origin.label)
            return bracket[0] if bracket else vertex.origin.label
        case Inline():
            return "document"
        case HttpFile():
            return shown_url(vertex.url)
        case GitTree():
            return vertex.reference.shown
        case Scratch() | Context():
            return "scratch" if isinstance(vertex, Scratch) else vertex.name
        case _:
            assert_never(vertex)


def _position(label: str) -> str:
    """Return the stage of a step and its number there, as its label tells them."""
    bracket = _BRACKET.match(label)
    return bracket[0].partition("/")[0] if bracket else label


def _likeness(one: _Candidate) -> tuple[int, int, int]:
    """Order by what differs, then by what says the most, and then from the one that was used last."""
    return one.apart, one.rank, -one.earlier.used


def _as_kept(inputs: Inputs) -> Inputs:
    """Return inputs as they come back from a record."""
    kept: Inputs = json.loads(canonical(inputs))
    return kept


def _places(vertex: MadeVertex, inputs: Inputs) -> Iterator[str]:
    """Yield where a step is looked for: what does the same, what a user calls the same, and what stands on the same."""
    kind = inputs["kind"]
    yield _place_of_operation(vertex, inputs)
    yield _place("is called", kind, _NUMBER.sub("]", vertex.origin.label))
    below = inputs.get("parent") or inputs.get("base")
    if below:
        yield _place_below(kind, below)


def _place_of_operation(vertex: MadeVertex, inputs: Inputs) -> str:
    return _place("does", inputs["kind"], _operation(vertex))


def _place_below(kind: str, below: str) -> str:
    return _place("stands on", kind, below)


def _place_on(inputs: Inputs) -> str:
    return _place("stands on the files", inputs["kind"], inputs["stack"])


def _place(*what: Any) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]


def _operation(vertex: MadeVertex) -> Any:
    """Return what a step does, without what it does that to."""
    match vertex:
        case Run():
            return vertex.args
        case Copy():
            return [vertex.destination, [source.paths for source in vertex.sources]]
        case MakeDirectory():
            return vertex.path
        case Inline():
            return [file.name for file in vertex.files]
        case HttpFile():
            return vertex.url
        case GitTree():
            return vertex.reference.remote
