"""COPY --parents and --exclude: what is selected, and what of it is taken."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import SourceError
from ocibuild.fs import Root
from ocibuild.source import content_digest, parse_ignore, select, walk
from tests.unit.source.users import as_an_ordinary_user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocibuild.oci import Digest

_TREE = ("a/b/one.go", "a/b/c/two.go", "a/b/c/x.c", "a/three.go", "a/x.md", "top.go", "z/b/four.go", "a*b")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    for name in _TREE:
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "tree/link").symlink_to("a")
    (tmp_path / "tree/z/link").symlink_to("../a/b")
    with Root.open(tmp_path / "tree") as root:
        yield root


def _taken(root: Root, *paths: str, exclude: tuple[str, ...] = (), rules: str = "", parents: bool = False) -> list[str]:
    """Return all that is taken but the tops; what is there as a parent only has a slash behind it."""
    excluded = parse_ignore(rules.encode(), file=".dockerignore")
    return [
        found.name + "/" * found.is_parent
        for selected in select(root, paths, excluded=excluded, parents=parents)
        for found in walk(root, selected, excluded=excluded, exclude=exclude)
        if found.name
    ]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("a/three.go", ["a/", "a/three.go"]),
        ("/a/three.go", ["a/", "a/three.go"]),
        ("./z/../a//three.go", ["a/", "a/three.go"]),
        ("../a/three.go", ["a/", "a/three.go"]),
        ("a/b/c/", ["a/", "a/b/", "a/b/c", "a/b/c/two.go", "a/b/c/x.c"]),
        ("*/*.go", ["a/", "a/three.go"]),
        ("**/*.go", ["a/", "a/b/", "a/b/c/", "a/b/c/two.go", "a/b/one.go", "a/three.go", "top.go", "z/", "z/b/",
            "z/b/four.go"]),
        ("a/**", ["a/", "a/b", "a/b/c", "a/b/c/two.go", "a/b/c/x.c", "a/b/one.go", "a/three.go", "a/x.md"]),
        ("**/c", ["a/", "a/b/", "a/b/c", "a/b/c/two.go", "a/b/c/x.c"]),
        ("[az]/b/*.go", ["a/", "a/b/", "a/b/one.go", "z/", "z/b/", "z/b/four.go"]),
        ("a\\*b", ["a*b"]),
        ("nothing/*", []),
        ("*.none", []),
        # the pivot
        ("a/./b/one.go", ["b/", "b/one.go"]),
        ("a/b/./one.go", ["one.go"]),
        ("a/./b/./one.go", ["b/", "b/one.go"]),
        ("./a/three.go", ["a/", "a/three.go"]),
        ("z/./**/*.go", ["b/", "b/four.go"]),
        ("[az]/./b/*.go", ["b/", "b/one.go", "b/", "b/four.go"]),
        ("n*/./b", []),
        ("a/b/c/./", ["two.go", "x.c"]),
        # symlinks: before the pivot they are followed, behind it they are files like others
        ("link/./three.go", ["three.go"]),
        ("link", ["link"]),
        ("z/l*", ["z/", "z/link"]),
        ("link/*.go", []),
    ],
)  # fmt: skip
def test_parents_takes(root: Root, path: str, names: list[str]) -> None:
    assert _taken(root, path, parents=True) == names


def test_parents_of_the_root_takes_all(root: Root) -> None:
    for path in (".", "", "./", "a/.."):
        assert set(_TREE) < set(_taken(root, path, parents=True))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing", "'nothing' in the source does not exist"),
        ("a/./nothing", "'a/./nothing' in the source does not exist"),
        ("nothing/./a", "'nothing/./a' in the source does not exist"),
        ("a/three.go/x", "'a/three.go/x' in the source does not exist"),
        ("link/three.go", r"goes through a symbolic link.*name 'a/three.go'"),
        ("../secret", "lies outside"),
    ],
)
def test_parents_of_what_is_not_there_is_an_error(root: Root, path: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        select(root, [path], parents=True)


def test_parents_of_what_is_left_out_is_an_error_but_not_of_a_wildcard(root: Root) -> None:
    with pytest.raises(SourceError, match=r"is excluded by \.dockerignore"):
        _taken(root, "a/x.md", rules="**/*.md", parents=True)
    assert _taken(root, "a/*.md", rules="**/*.md", parents=True) == []


@pytest.mark.parametrize(
    ("exclude", "names"),
    [
        (["*.md"], ["b", "b/c", "b/c/two.go", "b/c/x.c", "b/one.go", "three.go"]),
        (["**/*.go"], ["b", "b/c", "b/c/x.c", "x.md"]),
        (["b"], ["three.go", "x.md"]),
        (["b/"], ["three.go", "x.md"]),
        (["./b"], ["three.go", "x.md"]),
        (["/b", "a/b"], ["b", "b/c", "b/c/two.go", "b/c/x.c", "b/one.go", "three.go", "x.md"]),
        (["*"], []),
        (["*", "!b/c/x.c"], ["b/", "b/c/", "b/c/x.c"]),
        (["b", "!b/c", "b/c/x.c"], ["b/", "b/c", "b/c/two.go", "three.go", "x.md"]),
        (["!three.go", "*.go"], ["b", "b/c", "b/c/two.go", "b/c/x.c", "b/one.go", "x.md"]),
        (["", "  ", " *.md "], ["b", "b/c", "b/c/two.go", "b/c/x.c", "b/one.go", "three.go"]),
    ],
    ids=str,
)
def test_exclude_leaves_out_what_is_below(root: Root, exclude: list[str], names: list[str]) -> None:
    assert _taken(root, "a", exclude=tuple(exclude)) == names


def test_exclude_is_not_about_what_is_named_or_matched_itself(root: Root) -> None:
    for paths in (["top.go"], ["*.go"]):
        [selected] = select(root, paths)
        assert [found.name for found in walk(root, selected, exclude=["*.go", "top.go"])] == [""]


def test_parents_rules_and_exclude_go_together(root: Root) -> None:
    assert _taken(root, "**/*.go", exclude=("a/b/c",), rules="z", parents=True) == [
        "a/",
        "a/b/",
        "a/b/one.go",
        "a/three.go",
        "top.go",
    ]


@pytest.mark.parametrize("pattern", ["[a", "!", "a\\"])
def test_a_malformed_pattern_is_an_error(root: Root, pattern: str) -> None:
    with pytest.raises(SourceError, match="--exclude: "):
        _taken(root, "a", exclude=(pattern,))
    if pattern == "[a":
        with pytest.raises(SourceError, match="the source: "):
            _taken(root, pattern, parents=True)


def test_directories_without_anything_to_take_are_not_opened(root: Root) -> None:
    for name in ("locked", "a/locked", "z/locked"):
        os.mkdir(name, 0o000, dir_fd=root.fd)
    with as_an_ordinary_user():
        assert _taken(root, "a/b/*.go", parents=True) == ["a/", "a/b/", "a/b/one.go"]
        assert "locked" not in _taken(root, "a", exclude=("locked", "!three.go"))
        with pytest.raises(SourceError, match="'a/locked' cannot be read"):
            _taken(root, "a", exclude=("locked", "!locked/x"))


def test_literal_paths_have_no_wildcards(root: Root) -> None:
    [selected] = select(root, ["a*b"], literal=True)
    assert selected.name == "a*b"
    with pytest.raises(SourceError, match="does not exist"):
        select(root, ["a/*"], literal=True)


def _digest(root: Root, *paths: str, exclude: tuple[str, ...] = (), parents: bool = True) -> Digest:
    root.forget()
    return content_digest(root, select(root, paths, parents=parents), exclude=exclude)


def test_the_digest_covers_the_names_of_kept_parents(root: Root) -> None:
    before, flat = _digest(root, "z/b/*.go"), _digest(root, "z/b/*.go", parents=False)
    os.rename("z", "y", src_dir_fd=root.fd, dst_dir_fd=root.fd)
    assert _digest(root, "y/b/*.go") != before
    assert _digest(root, "y/b/*.go", parents=False) == flat


def test_the_digest_covers_the_modes_of_kept_parents(root: Root) -> None:
    before = _digest(root, "z/b/*.go")
    os.chmod("z", 0o700, dir_fd=root.fd)
    assert _digest(root, "z/b/*.go") != before


@pytest.mark.parametrize("name", ["z/b/new.c", "z/new.go", "new", "a/b/one.go"])
def test_the_digest_does_not_cover_what_is_not_taken(root: Root, tmp_path: Path, name: str) -> None:
    before = _digest(root, "z/b/*.go"), _digest(root, "z", exclude=("**/new*",), parents=False)
    (tmp_path / "tree" / name).write_text("new")
    assert (_digest(root, "z/b/*.go"), _digest(root, "z", exclude=("**/new*",), parents=False)) == before


def test_the_digest_tells_a_directory_from_one_that_is_only_a_parent(root: Root) -> None:
    os.rename("z/link", "elsewhere", src_dir_fd=root.fd, dst_dir_fd=root.fd)
    assert _digest(root, "z/b/*.go") != _digest(root, "z")
