from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import SourceError
from ocibuild.fs import Root
from ocibuild.source import Ignore, parse_ignore, select, walk
from tests.unit.source.users import as_an_ordinary_user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    for name in ("a.txt", "b.txt", "c.md", "src/main.c", "src/lib/lib.c", "src/lib/lib.h", "docs/a.md", "[x].txt"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    with Root.open(tmp_path / "tree") as root:
        yield root


def _link(root: Root, name: str, target: str) -> None:
    os.symlink(target, name, dir_fd=root.fd)


def _names(root: Root, *paths: str, excluded: Ignore | None = None) -> list[str]:
    return [selected.name for selected in select(root, paths, excluded=excluded)]


def _walked(root: Root, path: str, rules: str = "") -> list[str]:
    excluded = parse_ignore(rules.encode(), file=".dockerignore")
    [selected] = select(root, [path], excluded=excluded)
    return [found.name for found in walk(root, selected, excluded=excluded)]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("a.txt", ["a.txt"]),
        ("/a.txt", ["a.txt"]),
        ("./src/../a.txt", ["a.txt"]),
        ("../../a.txt", ["a.txt"]),
        ("src/", ["src"]),
        (".", [""]),
        ("", [""]),
        ("/", [""]),
        ("*.txt", ["[x].txt", "a.txt", "b.txt"]),
        ("[ab].txt", ["a.txt", "b.txt"]),
        ("[[]x].txt", ["[x].txt"]),
        ("?.md", ["c.md"]),
        ("*/*.md", ["docs/a.md"]),
        ("s*/lib/*", ["src/lib/lib.c", "src/lib/lib.h"]),
        ("src/*", ["src/lib", "src/main.c"]),
        ("*", ["[x].txt", "a.txt", "b.txt", "c.md", "docs", "src"]),
        ("*.zip", []),
        ("src/*.zip", []),
        ("a.txt/*", []),
        ("[\\[]x].txt", ["[x].txt"]),
        ("s*/lib/\\lib.[ch]", ["src/lib/lib.c", "src/lib/lib.h"]),
    ],
)
def test_a_path_stands_for_names(root: Root, path: str, names: list[str]) -> None:
    assert _names(root, path) == names


def test_paths_keep_their_order(root: Root) -> None:
    assert _names(root, "docs", "*.md", "a.txt") == ["docs", "c.md", "a.txt"]


@pytest.mark.parametrize("path", ["nothing", "src/nothing", "a.txt/b", "nothing/*.c", "\\[x].txt", "\\a.txt"])
def test_what_does_not_exist_is_named(root: Root, path: str) -> None:
    with pytest.raises(SourceError, match="does not exist") as caught:
        select(root, [path], what="the build context")
    assert caught.value.message.startswith(f"{path!r} in the build context")
    assert "relative to the build context" in str(caught.value)


def test_a_path_outside_that_is_not_there_is_said_to_lie_outside(root: Root, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    with pytest.raises(SourceError, match="lies outside"):
        select(root, ["../secret"])


@pytest.mark.parametrize("path", ["x" * 300, "a\0b"], ids=["long", "nul"])
def test_a_name_that_no_file_can_have_is_a_clear_error(root: Root, path: str) -> None:
    with pytest.raises(SourceError, match="cannot be looked up"):
        select(root, [path])


def test_a_directory_that_may_not_be_searched_is_a_clear_error(root: Root) -> None:
    os.mkdir("locked", 0o000, dir_fd=root.fd)
    with as_an_ordinary_user(), pytest.raises(SourceError, match="'locked/x' in the source cannot be looked up"):
        select(root, ["locked/x"])


@pytest.mark.parametrize("path", ["[a", "src/[a-", "*/[]"])
def test_a_malformed_wildcard_is_named(root: Root, path: str) -> None:
    with pytest.raises(SourceError, match="is not a valid pattern") as caught:
        select(root, [path])
    assert repr(path) in caught.value.message


def test_a_named_symlink_is_followed_and_keeps_its_name(root: Root) -> None:
    _link(root, "to-file", "src/main.c")
    _link(root, "to-directory", "/src")
    [file, directory, below] = select(root, ["to-file", "to-directory", "to-directory/lib/lib.c"])
    assert (file.name, file.path, stat.S_ISREG(file.status.st_mode)) == ("to-file", "src/main.c", True)
    assert (directory.name, directory.path, directory.is_directory) == ("to-directory", "src", True)
    assert (below.name, below.path) == ("to-directory/lib/lib.c", "src/lib/lib.c")


def test_a_matched_symlink_is_followed_but_no_wildcard_goes_through_one(root: Root) -> None:
    _link(root, "z1", "src")
    [selected] = select(root, ["z*"])
    assert (selected.name, selected.path) == ("z1", "src")
    assert _names(root, "z*/main.c") == []
    assert _names(root, "z1/*.c") == ["z1/main.c"]


def test_a_matched_symlink_that_leads_nowhere_is_an_error_as_in_docker(root: Root) -> None:
    _link(root, "z1", "nowhere")
    with pytest.raises(SourceError, match="'z1' is a symbolic link to 'nowhere'"):
        select(root, ["z*"])


@pytest.mark.parametrize("target", ["../../secret", "/../secret", "/etc/passwd"])
def test_no_symlink_leads_out(root: Root, tmp_path: Path, target: str) -> None:
    (tmp_path / "secret").write_text("x")
    _link(root, "link", target)
    with pytest.raises(SourceError, match="symbolic link to"):
        select(root, ["link"])


def test_a_loop_of_symlinks_is_a_clear_error(root: Root) -> None:
    _link(root, "one", "two")
    _link(root, "two", "one")
    with pytest.raises(SourceError, match=r"'one' in the source.*loop"):
        select(root, ["one"])


def test_symlinks_below_a_directory_are_found_as_they_are(root: Root) -> None:
    _link(root, "src/link", "lib")
    assert _walked(root, "src") == ["", "lib", "lib/lib.c", "lib/lib.h", "link", "main.c"]


def test_a_walk_gives_the_selected_itself_first_and_then_all_below_in_order(root: Root) -> None:
    assert _walked(root, "a.txt") == [""]
    assert _walked(root, ".") == [
        "",
        "[x].txt",
        "a.txt",
        "b.txt",
        "c.md",
        "docs",
        "docs/a.md",
        "src",
        "src/lib",
        "src/lib/lib.c",
        "src/lib/lib.h",
        "src/main.c",
    ]


def test_a_directory_comes_before_a_name_that_only_begins_like_it(root: Root) -> None:
    os.mkdir("src/lib-extra", dir_fd=root.fd)
    assert _walked(root, "src") == ["", "lib", "lib/lib.c", "lib/lib.h", "lib-extra", "main.c"]


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        ("src\ndocs", ["[x].txt", "a.txt", "b.txt", "c.md"]),
        ("*.txt\n*.md\ndocs", ["src", "src/lib", "src/lib/lib.c", "src/lib/lib.h", "src/main.c"]),
        ("**/*.c\n**/*.txt\n*.md\ndocs", ["src", "src/lib", "src/lib/lib.h"]),
        ("*\n!src/lib/*.h", ["src", "src/lib", "src/lib/lib.h"]),
        ("*\n!src/*.zip", []),
        ("*\n!**/lib.*", ["src", "src/lib", "src/lib/lib.c", "src/lib/lib.h"]),
        ("*\n!src\nsrc/lib", ["src", "src/main.c"]),
        ("*\n!docs\nsrc/lib/*", ["docs", "docs/a.md"]),
    ],
    ids=["directories", "wildcards", "anywhere", "exception", "vain", "deep-exception", "nested", "unrelated"],
)
def test_what_is_excluded_is_not_found(root: Root, rules: str, names: list[str]) -> None:
    assert _walked(root, ".", rules) == ["", *names]


def test_rules_apply_to_names_from_the_root_of_the_context(root: Root) -> None:
    assert _walked(root, "src", "src/lib/*.h\nlib") == ["", "lib", "lib/lib.c", "main.c"]


def test_an_excluded_directory_is_not_opened(root: Root) -> None:
    os.mkdir("src/locked", 0o000, dir_fd=root.fd)
    with as_an_ordinary_user():
        assert "src/locked" not in _walked(root, "src", "src/locked")


def test_a_name_that_is_excluded_is_an_error_that_names_the_rules(root: Root) -> None:
    excluded = parse_ignore(b"*.txt\nsrc", file="Dockerfile.dockerignore")
    for path in ("a.txt", "src", "src/main.c"):
        with pytest.raises(SourceError, match=r"is excluded by Dockerfile\.dockerignore") as caught:
            select(root, [path], excluded=excluded)
        assert f"add the line !{path}" in str(caught.value)


def test_a_link_to_what_is_excluded_leads_nowhere(root: Root) -> None:
    _link(root, "link", "src/main.c")
    with pytest.raises(SourceError, match="is excluded by"):
        select(root, ["link"], excluded=parse_ignore(b"src", file=".dockerignore"))


def test_an_excluded_directory_is_there_for_what_is_kept_below_it(root: Root) -> None:
    excluded = parse_ignore(b"*\n!src/lib/lib.h", file=".dockerignore")
    assert _names(root, "src", "src/lib", "*", excluded=excluded) == ["src", "src/lib", "src"]
    with pytest.raises(SourceError, match="is excluded"):
        select(root, ["docs"], excluded=excluded)


def test_wildcards_pass_over_what_is_excluded(root: Root) -> None:
    excluded = parse_ignore(b"b.txt\ndocs", file=".dockerignore")
    assert _names(root, "?.txt", "*/*.md", excluded=excluded) == ["a.txt"]


def test_sockets_are_left_out_and_fifos_are_found_unopened(root: Root, tmp_path: Path) -> None:
    os.mkfifo("fifo", dir_fd=root.fd)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "tree" / "socket"))
        names = _walked(root, ".")
        assert _names(root, "s*") == ["src"]
        with pytest.raises(SourceError, match="'socket' in the source is a socket"):
            select(root, ["socket"])
    assert "fifo" in names
    assert "socket" not in names


def test_names_that_are_not_utf8_are_kept(root: Root) -> None:
    os.close(os.open(b"\xff\xfe.txt", os.O_CREAT | os.O_WRONLY, dir_fd=root.fd))
    assert _names(root, "*.txt")[-1].encode("utf-8", "surrogateescape") == b"\xff\xfe.txt"


def test_a_directory_that_cannot_be_read_is_named(root: Root) -> None:
    os.mkdir("src/locked", 0o000, dir_fd=root.fd)
    with as_an_ordinary_user(), pytest.raises(SourceError, match="'src/locked' cannot be read"):
        _walked(root, "src")


def test_a_deep_tree_needs_no_deep_stack_and_few_descriptors(root: Root) -> None:
    here = os.dup(root.fd)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_PATH, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert len(_walked(root, "d")) == 1500
    root.remove("d")
