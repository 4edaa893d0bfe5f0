from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocibuild.build.contexts import Layout, NamedContexts
from ocibuild.dockerfile import GitContext, HttpContext, ImageContext, LocalFolder
from ocibuild.errors import OcibuildError
from ocibuild.graph import GitReference
from ocibuild.oci import Digest, Reference

if TYPE_CHECKING:
    from pathlib import Path

    from ocibuild.dockerfile import NamedContext

DIGEST = Digest.of(b"")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("docker-image://alpine", ImageContext(Reference.parse("alpine"))),
        (f"docker-image://h:1/a@{DIGEST}", ImageContext(Reference.parse(f"h:1/a@{DIGEST}"))),
        ("https://h/r.git#main:sub", GitContext(GitReference("https://h/r.git", "main", "sub"))),
        ("git@h:r", GitContext(GitReference("git@h:r"))),
        ("https://h/file.tar", HttpContext("https://h/file.tar")),
    ],
)
def test_a_value_says_what_kind_it_is(value: str, expected: NamedContext) -> None:
    with NamedContexts.open({"name": value}) as contexts:
        assert contexts.kinds == {"name": expected}


def test_a_folder_is_opened_with_its_own_rules(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    (tmp_path / ".dockerignore").write_text("b")
    with NamedContexts.open({"src": str(tmp_path)}) as contexts:
        assert contexts.kinds == {"src": LocalFolder()}
        assert [selected.name for selected in contexts.folders["src"].select(["?"])] == ["a"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/d", Layout("/d")),
        ("d:v1", Layout("d", "v1")),
        ("d/e:v1", Layout("d/e", "v1")),
        ("d:x/e", Layout("d:x/e")),
        (f"d@{DIGEST}", Layout("d", None, DIGEST)),
        (f"d:v1@{DIGEST}", Layout("d", "v1", DIGEST)),
    ],
)
def test_a_layout_has_a_tag_or_a_digest(text: str, expected: Layout) -> None:
    assert Layout.parse(text) == expected


def test_an_image_of_a_layout_has_a_reference_of_its_own() -> None:
    with NamedContexts.open({"base": "oci-layout:///d:v1", "other": "oci-layout:///d:v1"}) as contexts:
        references = [kind.reference for kind in contexts.kinds.values() if isinstance(kind, ImageContext)]
        assert [contexts.layouts[reference] for reference in references] == [Layout("/d", "v1")] * 2
        assert references[0] != references[1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("alpine", "alpine"), ("alpine:latest", "alpine"), ("docker.io/library/alpine:3", "alpine:3"), ("h:1/a", "h:1/a")],
)
def test_a_name_is_that_of_an_image(name: str, expected: str) -> None:
    with NamedContexts.open({name: "docker-image://x"}) as contexts:
        assert list(contexts.kinds) == [expected]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("Upper", "docker-image://x", "--build-context 'Upper': not a name"),
        ("a b", "docker-image://x", "--build-context 'a b': not a name"),
        ("a", "docker-image://X", "--build-context a: .*lower case"),
        ("a", "oci-layout://d@x", "--build-context a: 'x' is not a digest"),
        ("a", "https://h/r.git?x=1", "--build-context a: unknown query parameter 'x'"),
        ("a", "target:x", "--build-context a: 'target:x' is a target"),
        ("a", "/nowhere", "the build context 'a' '/nowhere' does not exist"),
        ("a", "/etc/passwd", "the build context 'a' '/etc/passwd' is not a folder"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(name: str, value: str, message: str) -> None:
    with pytest.raises(OcibuildError, match=message):
        NamedContexts.open({name: value})
