"""What has to be done for a target, and what is known from before: decided first, without doing any of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from ocibuild.graph import Copy, GitTree, HttpFile, Inline, MakeDirectory, Run, inputs, sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.graph import Vertex
    from ocibuild.oci import Digest
    from ocibuild.solver.keys import Keys
    from ocibuild.solver.results import Made

LayerVertex: TypeAlias = Run | Copy | MakeDirectory
"""A vertex that makes a layer."""
MadeVertex: TypeAlias = LayerVertex | Inline | HttpFile | GitTree
"""A vertex whose files this machine makes, and keeps under the key of the vertex."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The vertices that a target needs, inputs first, and what is known of them.

    What counts is the cache key: of several vertices with one key, which are the same work, ``vertices`` has one.
    ``made`` has the cached results by key; ``files`` the keys of images whose trees must be there because something
    runs on or copies from them; ``chain`` the target's own image and layers, oldest first.
    """

    vertices: tuple[Vertex, ...]
    made: dict[Digest, Made]
    files: frozenset[Digest]
    chain: tuple[Vertex, ...]


def make_plan(target: Vertex, keys: Keys, cached: Callable[[Digest], Made | None]) -> Plan:
    """Return the plan for ``target``; ``cached`` tells the result of a key from before, asked once for each.

    A base is always needed, for its layers; the sources of a COPY or RUN only where that must be done.
    """
    made: dict[Digest, Made] = {}
    files: set[Digest] = set()
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
                continue
            files.update(keys[root_of(tree)] for tree in files_of(vertex))
            pending.extend(sources(vertex))
    chain = tuple(reversed(list(base_chain(target))))
    first: dict[Digest, Vertex] = {}
    for vertex in topological(target):
        if keys[vertex] in needed:
            first.setdefault(keys[vertex], vertex)
    # of two images with the same tree, the blobs of the target's own are wanted
    first.update({keys[vertex]: vertex for vertex in chain})
    return Plan(tuple(first.values()), made, frozenset(files), chain)


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
    linked = isinstance(vertex, Copy) and vertex.link
    return sources(vertex) if linked else inputs(vertex)


def waits_for(vertex: Vertex) -> Iterator[Vertex]:
    """Yield the vertices that must be done before ``vertex`` can: what lies below a linked copy does so on its own."""
    for tree in files_of(vertex):
        for below in base_chain(tree):
            yield below
            if not (isinstance(below, Copy) and below.link):
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
