from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ocibuild.errors import DockerfileError, SourceError
from ocibuild.fs import Root
from ocibuild.source import LocalContext, load_ignore, parse_ignore, walk


def _excludes(rules: bytes, name: str) -> bool:
    ignore = parse_ignore(rules, file=".dockerignore")
    return ignore is not None and ignore.excludes(name)


@pytest.mark.parametrize(
    ("rules", "name", "excluded"),
    [
        (b"a", "a", True),
        (b"a", "b/a", False),
        (b"a", "a/b/c", True),
        (b"/a", "a", True),
        (b"  a/  \r\n", "a", True),
        (b"./x/../a", "a", True),
        (b"\xef\xbb\xbfa", "a", True),
        (b"# a\n#a", "#a", False),
        (b" #a", "#a", True),
        (b"**/*.pyc", "x/y/z.pyc", True),
        (b"**/*.pyc", "z.pyc", True),
        (b"*\n!a", "a", False),
        (b"*\n! /a", "a", False),
        (b"!a\n*", "a", True),
        (b"docs/*\n!docs/a*\ndocs/ab", "docs/ab", True),
        (b"docs/*\n!docs/a*\ndocs/ab", "docs/ac", False),
        (b"..\n../a", "a", False),
        ("für".encode(), "für", True),
        (b"\xff", os.fsdecode(b"\xff"), True),
        (b"", "a", False),
        (b"\n\r\n  \n", "a", False),
        (b"/", "a", False),
    ],
)
def test_rules_are_those_of_docker(rules: bytes, name: str, *, excluded: bool) -> None:
    assert _excludes(rules, name) is excluded


def test_a_context_holds_what_docker_keeps_of_it(tmp_path: Path) -> None:
    """The table is what ``COPY . /`` gave with docker's BuildKit for each .dockerignore."""
    table = json.loads((Path(__file__).parent / "dockerignore.json").read_text())
    for name in table["tree"].split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    found = {}
    for rules in table["kept"]:
        (tmp_path / ".dockerignore").write_text(rules + "\n")
        with LocalContext.open(str(tmp_path)) as context:
            [everything] = context.select(["."])
            names = [found.name for found in walk(context.root, everything, excluded=context.excluded)]
        found[rules] = " ".join(sorted(set(names) - {"", ".dockerignore"}))
    expected = {rules: _without_the_rules(names) for rules, names in table["kept"].items()}
    assert found == expected


def _without_the_rules(names: str) -> str:
    return " ".join(name for name in names.split() if name != ".dockerignore")


@pytest.mark.parametrize("data", [b"", b"# only\n\n", b"   \n"])
def test_a_file_without_rules_gives_none(data: bytes) -> None:
    assert parse_ignore(data, file=".dockerignore") is None


@pytest.mark.parametrize("line", ["[a", "!", "!  ", "a[b-"])
def test_a_malformed_rule_is_named_with_its_line(line: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_ignore(f"good\n\n{line}\n".encode(), file=".dockerignore")
    assert caught.value.location is not None
    assert (str(caught.value.location), caught.value.location.lines) == (".dockerignore:3", (line,))


@pytest.mark.parametrize(
    ("rules", "directory", "kept"),
    [
        (b"*\n!a/b/c", "a", True),
        (b"*\n!a/b/c", "a/b", True),
        (b"*\n!a/b/c", "a/b/c/d", True),
        (b"*\n!a/b/c", "a/x", False),
        (b"*\n!a/b/c", "b", False),
        (b"*\n!a/*/c", "a/x/y", True),
        (b"*\n!**/c", "x", True),
        (b"*\n!\\a/c", "x", True),
        (b"a", "a", False),
    ],
)
def test_a_directory_is_entered_only_where_an_exception_may_match_below(
    rules: bytes, directory: str, *, kept: bool
) -> None:
    ignore = parse_ignore(rules, file=".dockerignore")
    assert ignore is not None
    assert ignore.may_keep_below(directory) is kept


def test_the_file_beside_the_dockerfile_goes_first(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    with Root.open(context) as root:
        assert load_ignore(root) is None
        (context / ".dockerignore").write_text("a")
        dockerfile = tmp_path / "release.Dockerfile"
        for chosen in (None, str(dockerfile)):
            ignore = load_ignore(root, dockerfile=chosen)
            assert ignore is not None
            assert (ignore.file, ignore.excludes("a")) == (".dockerignore", True)
        (tmp_path / "release.Dockerfile.dockerignore").write_text("b")
        ignore = load_ignore(root, dockerfile=str(dockerfile))
        assert ignore is not None
        assert (ignore.excludes("a"), ignore.excludes("b")) == (False, True)
        assert ignore.file == f"{dockerfile}.dockerignore"


def test_an_empty_file_beside_the_dockerfile_excludes_nothing(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("a")
    (tmp_path / "Dockerfile.dockerignore").write_text("")
    with Root.open(tmp_path) as root:
        assert load_ignore(root, dockerfile=str(tmp_path / "Dockerfile")) is None


def test_a_symlink_is_followed_inside_the_context_only(tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "rules").write_text("a")
    (tmp_path / "rules").write_text("b")
    with Root.open(tmp_path / "context") as root:
        (tmp_path / "context" / ".dockerignore").symlink_to("../rules")
        ignore = load_ignore(root)
    assert ignore is not None
    assert ignore.excludes("a")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["directory", "fifo"])
def test_what_is_no_file_is_refused(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / ".dockerignore")
    with Root.open(tmp_path) as root, pytest.raises(SourceError, match=r"\.dockerignore"):
        load_ignore(root)


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_bytes(b"a\n" * 1_000_000)
    with Root.open(tmp_path) as root, pytest.raises(SourceError, match="larger than"):
        load_ignore(root)
