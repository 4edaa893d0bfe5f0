"""What has to be done for a target, and what is known from before: decided first, without doing any of it."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from ocibuild.graph import Copy, GitTree, HttpFile, Inline, MakeDirectory, Run, inputs, sources
from ocibuild.solver.operations.owners import is_looked_up
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping

    from ocibuild.graph import Vertex
    from ocibuild.oci import Digest
    from ocibuild.solver.keys import Keys
    from ocibuild.solver.results import Made
    from ocibuild.store import LayerRecord

LayerVertex: TypeAlias = Run | Copy | MakeDirectory
"""A vertex that makes a layer."""
MadeVertex: TypeAlias = LayerVertex | Inline | HttpFile | GitTree
"""A vertex whose files this machine makes, and keeps under the key of the vertex."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The vertices that a target needs, inputs first, and what is known of them.

    What counts is the cache key: of several vertices with one key, which are the same work, ``vertices`` has one.
    ``made`` has the cached results by key, ``elsewhere`` those of which only a cache beyond the store has the layer.
    ``files`` has the keys of the vertices that trees begin with (``roots()``) whose files must be there because
    something runs on or copies from them, ``outlines`` of those whose outline will do, since files are only added;
    ``chain`` the target's own image and layers, oldest first.
    """

    vertices: tuple[Vertex, ...]
    made: dict[Digest, Made]
    elsewhere: dict[Digest, LayerRecord]
    files: frozenset[Digest]
    outlines: frozenset[Digest]
    chain: tuple[Vertex, ...]


def make_plan(
    target: Vertex,
    keys: Keys,
    cached: Callable[[Digest], Made | None],
    elsewhere: Mapping[Digest, LayerRecord] = MappingProxyType({}),
    *,
    all_stages: bool = False,
) -> Plan:
    """Return the plan for ``target``; ``cached`` tells the result of a key from before, asked once for each.

    ``elsewhere`` has results that caches beyond the store have. A base is always needed, for its layers; the sources of
    a COPY or RUN only where that must be done, or with ``all_stages`` where all of their stage is cached.
    """
    cached = cache(cached)
    made: dict[Digest, Made] = {}
    layers: dict[Digest, LayerRecord] = {}
    missing: list[MadeVertex] = []
    needed: set[Digest] = set()
    pending: list[Vertex] = [target]
    while pending:
        for vertex in base_chain(pending.pop()):
            key = keys[vertex]
            if key in needed:
                continue
            needed.add(key)
            if not isinstance(vertex, MadeVertex):
                continue
            result = cached(key)
            if result is not None:
                made[key] = result
                if all_stages:
                    pending.extend(tree for tree in sources(vertex) if _is_whole(tree, keys, cached))
            elif key in elsewhere:
                layers[key] = elsewhere[key]
            else:
                missing.append(vertex)
                pending.extend(sources(vertex))
    trees = [tree for vertex in missing for tree in files_of(vertex) if not is_only_added_to(tree, vertex)]
    files = frozenset(keys[root] for tree in trees for root in roots(tree, keys, layers))
    trees = [tree for vertex in missing for tree in files_of(vertex) if is_only_added_to(tree, vertex)]
    outlines = frozenset(keys[root] for tree in trees for root in roots(tree, keys, layers)) - files
    chain = tuple(reversed(list(base_chain(target))))
    first: dict[Digest, Vertex] = {}
    for vertex in topological(target):
        if keys[vertex] in needed:
            first.setdefault(keys[vertex], vertex)
    # of two images with the same tree, the blobs of the target's own are wanted
    first.update({keys[vertex]: vertex for vertex in chain})
    return Plan(tuple(first.values()), made, layers, files, outlines, chain)


def _is_whole(tree: Vertex, keys: Keys, cached: Callable[[Digest], Made | None]) -> bool:
    """Tell whether all results that a tree is made of are cached."""
    return all(cached(keys[vertex]) for vertex in base_chain(tree) if isinstance(vertex, MadeVertex))


def usable(target: Vertex, keys: Keys, packed: Container[Digest], found: Mapping[Digest, LayerRecord]) -> set[Digest]:
    """Return the keys of ``found`` of which something can be made: all layers below must be known too.

    ``packed`` has the keys of results whose layers are known here. A linked copy stands for itself.
    """
    chosen: set[Digest] = set()
    known: set[int] = set()  # trees all of whose layers are; not by key, since a linked copy's says nothing of its base
    for vertex in topological(target):
        if not isinstance(vertex, LayerVertex):
            known.add(id(vertex))
            continue
        key, is_based = keys[vertex], id(vertex.base) in known
        if is_based and (key in packed or key in found):
            known.add(id(vertex))
        if key in found and (is_based or is_linked(vertex)):
            chosen.add(key)
    return chosen


def roots(tree: Vertex, keys: Keys, elsewhere: Container[Digest]) -> Iterator[Vertex]:
    """Yield what of a tree comes from elsewhere as a whole, from the top down to where it begins.

    That is the topmost vertex that a cache elsewhere has, with all below it, else the image or what else has no base;
    and the linked copies above it that such a cache has, each alone.
    """
    for vertex in base_chain(tree):
        is_elsewhere = keys[vertex] in elsewhere
        if not isinstance(vertex, LayerVertex) or (is_elsewhere and not is_linked(vertex)):
            yield vertex
            return
        if is_elsewhere:
            yield vertex


def is_only_added_to(tree: Vertex, vertex: Vertex) -> bool:
    """Tell whether ``vertex`` looks at no content of its input ``tree``, not even for what an owner's name means."""
    match vertex:
        case Copy(base=base, owner=owner):
            return tree is base and tree not in sources(vertex) and not is_looked_up(owner or "")
        case MakeDirectory(user=user):
            return not is_looked_up(user)
        case _:
            return False


def is_linked(vertex: Vertex) -> bool:
    """Tell whether the result of a vertex does not depend on its base."""
    return isinstance(vertex, Copy) and vertex.link


def to_make_anew(target: Vertex, keys: Keys) -> tuple[frozenset[Digest], frozenset[Digest]]:
    """Return the keys of what is to be made anew, and those of all whose cached results are not for that reason.

    The second are the first and what rests on them: how they are made says no more what their inputs are. Where one of
    several vertices with one key is to be made anew, so are all.
    """
    vertices = topological(target)
    anew = frozenset(keys[vertex] for vertex in vertices if vertex.origin.anew)
    outdated = set(anew)
    if anew:
        for vertex in vertices:
            if any(keys[needed] in outdated for needed in waits_for(vertex)):
                outdated.add(keys[vertex])
    return anew, frozenset(outdated)


def files_of(vertex: Vertex) -> tuple[Vertex, ...]:
    """Return the vertices whose files must be there to make ``vertex``."""
    return sources(vertex) if is_linked(vertex) else inputs(vertex)


def waits_for(vertex: Vertex) -> Iterator[Vertex]:
    """Yield the vertices that must be done before ``vertex`` can: what lies below a linked copy does so on its own."""
    for tree in files_of(vertex):
        for below in base_chain(tree):
            yield below
            if not is_linked(below):
                break


def base_chain(vertex: Vertex) -> Iterator[Vertex]:
    """Yield a vertex, its base, the base of that, and so on."""
    yield vertex
    while isinstance(vertex, LayerVertex):
        vertex = vertex.base
        yield vertex


def root_of(vertex: Vertex) -> Vertex:
    """Return where the chain of bases begins: a vertex that has none."""
    while isinstance(vertex, LayerVertex):
        vertex = vertex.base
    return vertex


def topological(target: Vertex) -> list[Vertex]:
    """Return all vertices that ``target`` reaches, each after its inputs, without recursion."""
    order: list[Vertex] = []
    seen: set[int] = set()
    pending: list[tuple[Vertex, bool]] = [(target, False)]
    while pending:
        vertex, inputs_done = pending.pop()
        if inputs_done:
            order.append(vertex)
        elif id(vertex) not in seen:
            seen.add(id(vertex))
            pending.append((vertex, True))
            pending += [(needed, False) for needed in reversed(inputs(vertex))]
    return order
