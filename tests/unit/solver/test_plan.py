from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.graph import (
    BindMount,
    Context,
    Copy,
    CopySource,
    Image,
    Inline,
    InlineFile,
    MakeDirectory,
    Run,
    Scratch,
    inputs,
)
from ocibuild.oci import Descriptor, DiffID, Digest, Platform, Reference, mediatypes
from ocibuild.solver.keys import Keys
from ocibuild.solver.plan import Plan, files_of, make_plan, root_of, roots, topological, usable, waits_for
from ocibuild.solver.results import Made
from ocibuild.store import Layer, LayerRecord, Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.graph import Vertex

AMD64 = Platform("linux", "amd64")


def image(name: str) -> Image:
    return Image(Reference.parse(name), AMD64, Digest.of(name.encode()))


def run(base: Vertex, command: str) -> Run:
    return Run(base, (command,))


def copy(base: Vertex, source: Vertex, path: str, destination: str, *, link: bool = False) -> Copy:
    return Copy(base, (CopySource(source, (path,)),), destination, link=link)


def keys_of(target: Vertex) -> Keys:
    keys = Keys(lambda image: str(image.digest), lambda _, source: Digest.of(repr(source.paths).encode()), str)
    for vertex in topological(target):
        keys.compute(vertex)
    return keys


def elsewhere(keys: Keys, *vertices: Vertex) -> dict[Digest, LayerRecord]:
    """Return what a cache beyond the store says that it has."""
    layer = Layer(DiffID(Digest.of(b"plain")), Descriptor(mediatypes.OCI_LAYER, Digest.of(b"plain"), 5))
    return {keys[vertex]: LayerRecord(keys[vertex], layer, "now") for vertex in vertices}


def plan(target: Vertex, cached: Sequence[Vertex] = ()) -> tuple[Plan, Keys]:
    keys = keys_of(target)
    asked: list[Digest] = []

    def lookup(key: Digest) -> Made | None:
        asked.append(key)
        return Made(Snapshot(1, "/"), "now") if key in {keys[vertex] for vertex in cached} else None

    found = make_plan(target, keys, lookup)
    assert len(asked) == len(set(asked)), "a key was asked for twice"
    return found, keys


def test_vertices_come_after_their_inputs() -> None:
    base, builder, context = image("base"), image("builder"), Context()
    made = copy(run(builder, "make"), context, ".", "/src")
    target = copy(run(base, "prepare"), made, "app", "/app")
    order = topological(target)
    assert len(order) == 7
    for vertex in order:
        assert all(order.index(needed) < order.index(vertex) for needed in inputs(vertex))


def test_everything_is_made_where_nothing_is_cached() -> None:
    base, builder = image("base"), image("builder")
    target = copy(run(base, "prepare"), run(builder, "make"), "app", "/app")
    found, keys = plan(target)
    assert set(found.vertices) == set(topological(target))
    assert found.made == {}
    assert found.files == {keys[base], keys[builder]}
    assert found.chain == (base, target.base, target)


def test_the_sources_of_a_cached_copy_are_not_made() -> None:
    base, builder = image("base"), image("builder")
    copied = copy(base, run(builder, "make"), "app", "/app")
    target = run(copied, "use")
    found, keys = plan(target, cached=[copied])
    assert found.vertices == (base, copied, target)
    assert set(found.made) == {keys[copied]}
    assert found.files == {keys[base]}


def test_no_files_of_a_base_are_wanted_where_all_is_cached() -> None:
    base = image("base")
    target = MakeDirectory(run(base, "make"), "/w")
    found, _ = plan(target, cached=[target, target.base])
    assert found.files == frozenset()
    assert found.vertices == (base, target.base, target)


def test_what_is_copied_from_is_made_even_where_the_copies_base_is_cached() -> None:
    base, source = run(Scratch(), "base"), run(image("builder"), "make")
    target = copy(base, source, "app", "/app")
    found, keys = plan(target, cached=[base])
    assert source in found.vertices
    assert set(found.made) == {keys[base]}


def test_two_vertices_of_one_key_are_one() -> None:
    base = image("base")
    first, second = run(base, "same"), run(image("base"), "same")
    target = copy(first, second, "app", "/app")
    found, keys = plan(target)
    assert keys[first] == keys[second]
    assert [vertex for vertex in found.vertices if isinstance(vertex, Run)] == [first]
    assert [vertex for vertex in found.vertices if isinstance(vertex, Image)] == [base]


def test_of_two_images_with_one_tree_the_targets_own_is_meant() -> None:
    own, other = image("same"), image("same")
    target = copy(run(own, "x"), other, "app", "/app")
    found, _ = plan(target)
    assert found.vertices[0] is own
    target = copy(own, run(other, "x"), "app", "/app")
    assert own in plan(target)[0].vertices


def test_chains_of_thousands_need_no_recursion() -> None:
    vertex: Vertex = Scratch()
    for number in range(3000):
        vertex = run(vertex, str(number)) if number % 2 else copy(vertex, vertex, "a", "/a")
    found, _ = plan(vertex)
    assert len(found.vertices) == 3001
    assert isinstance(root_of(vertex), Scratch)
    assert len(found.chain) == 3001


def test_what_a_linked_copy_lies_on_needs_no_files() -> None:
    base, builder = image("base"), image("builder")
    target = copy(base, run(builder, "make"), "app", "/app", link=True)
    found, keys = plan(target)
    assert found.files == {keys[builder]}
    assert base in found.vertices
    assert files_of(target) == inputs(target)[1:]


def test_a_step_on_linked_copies_waits_for_all_below_them() -> None:
    made = run(image("base"), "make")
    first = copy(made, Context(), "a", "/a", link=True)
    second = copy(first, Context(), "b", "/b", link=True)
    target = run(second, "use")
    assert list(waits_for(target)) == [second, first, made]
    assert list(waits_for(run(target, "more"))) == [target]
    assert list(waits_for(second)) == list(inputs(second)[1:])


def test_mounted_trees_and_inline_files_are_made_first() -> None:
    inline = Inline((InlineFile("script", b"true"),))
    mounted = run(image("tools"), "make")
    target = Run(copy(image("base"), inline, "script", "/"), ("sh",), mounts=(BindMount("/tools", mounted),))
    found, keys = plan(target)
    assert {inline, mounted} <= set(found.vertices)
    assert keys[root_of(mounted)] in found.files


def test_what_runs_on_a_tree_of_a_cache_elsewhere_wants_that_whole_and_not_its_image_alone() -> None:
    base = image("base")
    first = run(base, "one")
    second = run(first, "two")
    target = run(second, "three")
    keys = keys_of(target)
    found = make_plan(target, keys, lambda _key: None, elsewhere(keys, first, second))
    assert found.files == {keys[second]}
    assert found.elsewhere.keys() == {keys[first], keys[second]}
    assert found.made == {}


def test_the_sources_of_what_a_cache_elsewhere_has_are_not_made() -> None:
    base, builder = image("base"), image("builder")
    target = copy(base, run(builder, "make"), "app", "/app")
    keys = keys_of(target)
    found = make_plan(target, keys, lambda _key: None, elsewhere(keys, target))
    assert set(found.vertices) == {base, target}
    assert found.files == frozenset()


def test_a_tree_begins_with_the_topmost_that_a_cache_elsewhere_has_and_linked_copies_above_it() -> None:
    base, context = image("base"), Context()
    first = run(base, "one")
    second = run(first, "two")
    linked = copy(second, context, "a", "/a", link=True)
    top = run(linked, "top")
    keys = keys_of(top)
    assert list(roots(top, keys, elsewhere(keys, first, second, linked))) == [linked, second]
    assert list(roots(top, keys, elsewhere(keys, first))) == [first]
    assert list(roots(top, keys, elsewhere(keys, top))) == [top]
    assert list(roots(top, keys, {})) == [base]


def test_a_layer_elsewhere_is_of_use_where_all_below_it_are_known_too() -> None:
    base, context = image("base"), Context()
    first = run(base, "one")
    second = run(first, "two")
    linked = copy(second, context, "a", "/a", link=True)
    top = run(linked, "top")
    keys = keys_of(top)
    everything = elsewhere(keys, first, second, linked, top)
    assert usable(top, keys, set(), everything) == everything.keys()
    assert usable(top, keys, {keys[first]}, elsewhere(keys, second)) == {keys[second]}
    assert usable(top, keys, set(), elsewhere(keys, second, linked, top)) == {keys[linked]}, "a linked copy is alone"


def test_what_only_adds_files_wants_the_outline_of_its_base() -> None:
    base, context = image("base"), Context()
    workdir = MakeDirectory(base, "/app", user="1000:1000")
    target = copy(workdir, context, "app", "/app")
    found, keys = plan(target)
    assert keys[base] not in found.files
    assert found.outlines == {keys[base]}


def test_whoever_looks_into_files_of_the_base_wants_them_all() -> None:
    base, context = image("base"), Context()
    added = copy(base, context, "app", "/app")
    for looking in (
        run(added, "ls"),
        MakeDirectory(base, "/app", user="somebody"),
        Copy(base, (CopySource(context, ("app",)),), "/app", owner="1000:staff"),
        copy(base, base, "usr", "/copied"),
        copy(image("other"), added, "app", "/app"),
    ):
        found, keys = plan(looking)
        assert keys[base] in found.files
        assert keys[base] not in found.outlines


def test_cached_stages_that_nobody_needs_count_where_all_are_wanted_and_all_of_the_stage_is_cached() -> None:
    base, builder = image("base"), image("builder")
    compiled = run(run(builder, "prepare"), "make")
    target = copy(base, compiled, "app", "/app")
    keys = keys_of(target)

    def known(*vertices: Vertex) -> Plan:
        made = {keys[vertex]: Made(Snapshot(1, "/"), "now") for vertex in vertices}
        return make_plan(target, keys, made.get, all_stages=True)

    assert set(known(target, compiled, compiled.base).vertices) == set(topological(target))
    assert set(known(target, compiled).vertices) == {base, target}, "the step below is gone"
