from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.graph import Context, Copy, Image, MakeDirectory, Run, Scratch
from ocibuild.oci import Digest, Platform, Reference
from ocibuild.solver.keys import Keys
from ocibuild.solver.plan import Plan, make_plan, root_of, topological
from ocibuild.solver.results import Made
from ocibuild.store import Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.graph import Vertex

AMD64 = Platform("linux", "amd64")


def image(name: str) -> Image:
    return Image(Reference.parse(name), AMD64, Digest.of(name.encode()))


def run(base: Vertex, command: str) -> Run:
    return Run(base, (command,))


def plan(target: Vertex, cached: Sequence[Vertex] = ()) -> tuple[Plan, Keys]:
    keys = Keys(lambda image: str(image.digest), lambda copy: Digest.of(repr(copy.paths).encode()))
    for vertex in topological(target):
        keys.compute(vertex)
    asked: list[Digest] = []

    def lookup(key: Digest) -> Made | None:
        asked.append(key)
        return Made(Snapshot(1, "/"), "now") if key in {keys[vertex] for vertex in cached} else None

    found = make_plan(target, keys, lookup)
    assert len(asked) == len(set(asked)), "a key was asked for twice"
    return found, keys


def test_vertices_come_after_their_inputs() -> None:
    base, builder, context = image("base"), image("builder"), Context()
    made = Copy(run(builder, "make"), context, (".",), "/src")
    target = Copy(run(base, "prepare"), made, ("app",), "/app")
    order = topological(target)
    assert len(order) == 7
    for vertex in order:
        for needed in (getattr(vertex, "base", None), getattr(vertex, "source", None)):
            assert needed is None or order.index(needed) < order.index(vertex)


def test_everything_is_made_where_nothing_is_cached() -> None:
    base, builder = image("base"), image("builder")
    target = Copy(run(base, "prepare"), run(builder, "make"), ("app",), "/app")
    found, keys = plan(target)
    assert set(found.vertices) == set(topological(target))
    assert found.made == {}
    assert found.files == {keys[base], keys[builder]}
    assert found.chain == (base, target.base, target)


def test_the_sources_of_a_cached_copy_are_not_made() -> None:
    base, builder = image("base"), image("builder")
    copy = Copy(base, run(builder, "make"), ("app",), "/app")
    target = run(copy, "use")
    found, keys = plan(target, cached=[copy])
    assert found.vertices == (base, copy, target)
    assert set(found.made) == {keys[copy]}
    assert found.files == {keys[base]}


def test_no_files_of_a_base_are_wanted_where_all_is_cached() -> None:
    base = image("base")
    target = MakeDirectory(run(base, "make"), "/w")
    found, _ = plan(target, cached=[target, target.base])
    assert found.files == frozenset()
    assert found.vertices == (base, target.base, target)


def test_what_is_copied_from_is_made_even_where_the_copies_base_is_cached() -> None:
    base, source = run(Scratch(), "base"), run(image("builder"), "make")
    target = Copy(base, source, ("app",), "/app")
    found, keys = plan(target, cached=[base])
    assert source in found.vertices
    assert set(found.made) == {keys[base]}


def test_two_vertices_of_one_key_are_one() -> None:
    base = image("base")
    first, second = run(base, "same"), run(image("base"), "same")
    target = Copy(first, second, ("app",), "/app")
    found, keys = plan(target)
    assert keys[first] == keys[second]
    assert [vertex for vertex in found.vertices if isinstance(vertex, Run)] == [first]
    assert [vertex for vertex in found.vertices if isinstance(vertex, Image)] == [base]


def test_of_two_images_with_one_tree_the_targets_own_is_meant() -> None:
    own, other = image("same"), image("same")
    target = Copy(run(own, "x"), other, ("app",), "/app")
    found, _ = plan(target)
    assert found.vertices[0] is own
    target = Copy(own, run(other, "x"), ("app",), "/app")
    assert own in plan(target)[0].vertices


def test_chains_of_thousands_need_no_recursion() -> None:
    vertex: Vertex = Scratch()
    for number in range(3000):
        vertex = run(vertex, str(number)) if number % 2 else Copy(vertex, vertex, ("a",), "/a")
    found, _ = plan(vertex)
    assert len(found.vertices) == 3001
    assert isinstance(root_of(vertex), Scratch)
    assert len(found.chain) == 3001
