from __future__ import annotations

from ocibuild.graph import BindMount, Context, Copy, CopySource, Image, MakeDirectory, Run, Scratch, TmpfsMount, inputs
from ocibuild.oci import Platform, Reference


def test_inputs_are_the_base_first() -> None:
    scratch, context = Scratch(), Context()
    run = Run(scratch, ("true",))
    copy = Copy(run, (CopySource(context, ("a",)), CopySource(scratch, ("b",))), "/a")
    assert inputs(copy) == (run, context, scratch)
    mounting = Run(copy, ("true",), mounts=(TmpfsMount("/tmp"), BindMount("/src", context)))
    assert inputs(mounting) == (copy, context)
    assert inputs(run) == (scratch,)
    assert inputs(MakeDirectory(copy, "/w")) == (copy,)
    image = Image(Reference.parse("alpine"), Platform("linux", "amd64"))
    assert [inputs(vertex) for vertex in (scratch, context, image)] == [(), (), ()]


def test_vertices_are_compared_by_identity_so_deep_chains_do_not_recurse() -> None:
    def chain() -> Run:
        vertex: Run | Scratch = Scratch()
        for _ in range(3000):
            vertex = Run(vertex, ("true",))
        assert isinstance(vertex, Run)
        return vertex

    first, second = chain(), chain()
    assert first != second
    assert first == first
    assert len({first, second, first}) == 2
