from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import SourceError
from ocibuild.fs import Root
from ocibuild.layer.xattrs import read_xattrs
from ocibuild.source import content_digest, parse_ignore, select
from tests.unit.source.users import as_an_ordinary_user

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ocibuild.oci import Digest


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "d" / "sub").mkdir(parents=True)
    (tree / "d" / "file").write_text("content")
    (tree / "d" / "file").chmod(0o644)
    (tree / "d" / "same").write_text("content")
    (tree / "d" / "sub" / "other").write_text("other")
    (tree / "d" / "link").symlink_to("file")
    (tree / "d").chmod(0o755)
    return tree


def _digest(tree: Path, *paths: str, rules: bytes = b"", **more: object) -> Digest:
    excluded = parse_ignore(rules, file=".dockerignore")
    with Root.open(tree) as root:
        return content_digest(root, select(root, paths or ["d"], excluded=excluded), excluded=excluded, **more)  # type: ignore[arg-type]  # a table of arguments


def _capability(tree: Path) -> None:
    value = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    try:
        os.setxattr(tree / "d" / "file", "security.capability", value)
    except PermissionError:
        pytest.skip("only root sets capabilities")


def _attribute(tree: Path) -> None:
    os.setxattr(tree / "d" / "file", "user.origin", b"x")


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "d" / "file").write_text("Content"),
        lambda tree: (tree / "d" / "file").chmod(0o755),
        lambda tree: (tree / "d").chmod(0o700),
        lambda tree: (tree / "d" / "sub").chmod(0o700),
        lambda tree: (tree / "d" / "file").rename(tree / "d" / "File"),
        lambda tree: (tree / "d" / "sub" / "new").mkdir(),
        lambda tree: (tree / "d" / "sub" / "new").touch(),
        lambda tree: (tree / "d" / "sub" / "other").unlink(),
        lambda tree: [(tree / "d" / "link").unlink(), (tree / "d" / "link").symlink_to("sub")],
        lambda tree: [(tree / "d" / "link").unlink(), (tree / "d" / "link").write_text("file")],
        lambda tree: os.mkfifo(tree / "d" / "fifo"),
        lambda tree: [(tree / "d" / "same").unlink(), (tree / "d" / "same").hardlink_to(tree / "d" / "file")],
    ],
    ids=[
        "bytes", "mode", "top-mode", "directory-mode", "name", "new-directory", "new-file", "removed", "target",
        "type", "fifo", "hard-link",
    ],
)  # fmt: skip
def test_a_change_that_a_copy_would_show_changes_the_digest(tree: Path, change: Callable[[Path], object]) -> None:
    before = _digest(tree)
    change(tree)
    assert _digest(tree) != before


def _give_away(tree: Path) -> None:
    if os.geteuid() == 0:
        os.chown(tree / "d" / "file", 123, 456)


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: os.utime(tree / "d" / "file", (1, 1)),
        lambda tree: os.utime(tree / "d", (1, 1)),
        lambda tree: (tree / "outside").write_text("x"),
        lambda tree: [(tree / "d" / "file").unlink(), (tree / "d" / "file").write_text("content")],
        lambda tree: (tree / "d").rename(tree / "e") and (tree / "e").rename(tree / "d"),
        _give_away,
        _capability,
        _attribute,
        lambda tree: (tree / "outside").hardlink_to(tree / "d" / "file"),
    ],
    ids=["time", "directory-time", "outside", "inode", "moved", "owner", "capability", "attribute", "hard-link"],
)
def test_a_change_that_a_copy_would_not_show_does_not(tree: Path, change: Callable[[Path], object]) -> None:
    before = _digest(tree)
    change(tree)
    assert _digest(tree) == before


@pytest.mark.parametrize("change", [_capability, _attribute], ids=["capability", "attribute"])
def test_attributes_count_where_they_are_copied(tree: Path, change: Callable[[Path], object]) -> None:
    before = _digest(tree, xattrs=read_xattrs)
    change(tree)
    with_one = _digest(tree, xattrs=read_xattrs)
    os.setxattr(tree / "d" / "file", "user.origin", b"another")
    assert len({before, with_one, _digest(tree, xattrs=read_xattrs)}) == 3


def test_the_name_of_a_file_counts_and_that_of_a_directory_does_not(tree: Path) -> None:
    (tree / "same").write_text("content")
    assert _digest(tree, "d/file") != _digest(tree, "same")
    (tree / "d").rename(tree / "e")
    renamed = _digest(tree, "e")
    (tree / "e").rename(tree / "d")
    assert _digest(tree, "d") == renamed


def test_the_order_of_sources_counts(tree: Path) -> None:
    assert _digest(tree, "d/file", "d/sub") != _digest(tree, "d/sub", "d/file")


def test_names_and_contents_cannot_be_taken_for_one_another(tree: Path) -> None:
    (tree / "one").mkdir()
    (tree / "two").mkdir()
    (tree / "one" / "a").write_text("x")
    (tree / "one" / "b").write_text("y")
    (tree / "two" / "a").write_text("y")
    (tree / "two" / "b").write_text("x")
    assert _digest(tree, "one") != _digest(tree, "two")


def test_what_is_excluded_does_not_count(tree: Path) -> None:
    before = _digest(tree, rules=b"**/*.log")
    (tree / "d" / "sub" / "x.log").write_text("x")
    assert _digest(tree, rules=b"**/*.log") == before
    assert _digest(tree) != before


def test_owners_count_where_the_tree_has_them(tree: Path) -> None:
    def someone(path: str, status: os.stat_result) -> tuple[int, int, int]:
        return (1000 if path == "d/file" else 0), 0, status.st_mode & 0o7777

    assert _digest(tree, owner=someone) != _digest(tree)


def test_a_symlink_that_is_named_counts_as_what_it_leads_to(tree: Path) -> None:
    before = _digest(tree, "d/link")
    (tree / "d" / "file").write_text("Content")
    assert _digest(tree, "d/link") != before


def test_an_empty_selection_has_a_digest(tree: Path) -> None:
    assert _digest(tree, "*.zip") == _digest(tree, "*.tar")


def test_a_file_that_cannot_be_read_is_named(tree: Path) -> None:
    (tree / "d" / "file").chmod(0)
    with Root.open(tree) as root, as_an_ordinary_user():
        selected = select(root, ["d"])
        with pytest.raises(SourceError, match="'d/file' cannot be read"):
            content_digest(root, selected)
