"""Each case of ``tests/cases`` gives what it should, whoever builds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cases import CASES, check_expected
from tests.support.trees import changes, read_archive

if TYPE_CHECKING:
    from tests.support.program import Program
    from tests.support.trees import Image


@pytest.fixture(scope="module")
def base(shared: Program, busybox_base: str) -> Image:
    context = shared.context("base", {"Dockerfile": f"FROM {busybox_base}\n"})
    shared.build(context, "-o", f"type=oci,dest={shared.user.home}/base.tar")
    return read_archive(shared.user.home / "base.tar")


@pytest.mark.parametrize("snapshotter", ["overlay", "copy"])
@pytest.mark.parametrize("case", CASES)
def test_case_gives_what_it_should(
    case: str, snapshotter: str, shared: Program, base: Image, busybox_base: str
) -> None:
    archive = shared.user.home / f"{case}.tar"
    arguments = ("--build-arg", f"BASE={busybox_base}", "--build-arg", "GIVEN=given", "--snapshotter", snapshotter)
    words = (*arguments, "-o", f"type=oci,dest={archive}")
    context, root = shared.case(case), shared.user.home / snapshotter
    first = shared.build(context, *words, root=root)
    image = read_archive(archive)
    check_expected(case, changes(base.tree, image.tree), image.config["config"], snapshotter=snapshotter)
    again = shared.build(context, *words, root=root)
    assert again.image_id == first.image_id
    assert not again.ran()
    assert set(again.cached()) == set(again.steps) <= set(first.steps)
    assert not any((root / "trees").iterdir())


def test_only_the_changes_of_a_step_are_in_its_layer(shared: Program, busybox_base: str) -> None:
    text = f"""\
FROM {busybox_base}
RUN mkdir -p /a/b && echo x > /a/b/file
RUN cat /a/b/file && rm /a/b/file && touch /etc/hosts /etc/resolv.conf && echo 1.2.3.4 other >> /etc/hosts
RUN true
"""
    archive = shared.user.home / "layers.tar"
    shared.build(shared.context("layers", {"Dockerfile": text}), "-o", f"type=oci,dest={archive}")
    assert read_archive(archive).layers[1:] == (("a", "a/b", "a/b/file"), ("a", "a/b", "a/b/.wh.file"), ())


def test_the_same_tree_gives_the_same_bytes(shared: Program, busybox_base: str) -> None:
    """Names made in different orders, at different times, but with the same times on them in the end."""
    layers = []
    for names in ("a b c/d e", "e c/d b a"):
        text = f"""\
FROM {busybox_base}
RUN mkdir -p /made/c && cd /made && for name in {names}; do echo $name > $name; done \\
 && ln -s a link && chown 5:6 b && touch -h -d @1000 a b c/d e link c /made
"""
        archive = shared.user.home / "same.tar"
        context = shared.context("same", {"Dockerfile": text.replace("echo $name", "echo x")})
        shared.build(context, "-o", f"type=oci,dest={archive}")
        layers.append(read_archive(archive).manifest["layers"])
    assert layers[0] == layers[1]
