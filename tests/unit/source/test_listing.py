from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from ocibuild.fs import Root
from ocibuild.source import Listing, content_digest, in_one_directory, listing, select
from ocibuild.source.listing import from_text, to_text

if TYPE_CHECKING:
    from pathlib import Path

    from ocibuild.oci import Digest


def taken(tree: Path, *paths: str, parents: bool = False) -> tuple[Digest, Listing]:
    with Root.open(tree) as root:
        selected = select(root, paths, parents=parents)
        records: list[bytes] = []
        digest = content_digest(root, selected, kept=records)
        assert digest == content_digest(root, selected)
        return digest, listing([one.name for one in selected], records)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_each_file_is_listed_by_the_path_that_a_user_knows(tmp_path: Path) -> None:
    (tmp_path / "app" / "odd : name").mkdir(parents=True)
    for folder in ("app", "app/odd : name"):
        (tmp_path / folder).chmod(0o755)
    (tmp_path / "app" / "odd : name" / "a b\n").write_text("a")
    (tmp_path / "app" / "link").symlink_to("target with spaces")
    (tmp_path / os.fsdecode(b"\xff")).write_text("x")
    for file in ("app/odd : name/a b\n", os.fsdecode(b"\xff")):
        (tmp_path / file).chmod(0o644)
    (tmp_path / "to-app").symlink_to("app")
    found = taken(tmp_path, "to-app", os.fsdecode(b"\xff"))[1]
    assert found == {
        "to-app": f"40000 0 0 755 {_sha('')}",
        "to-app/odd : name": f"40000 0 0 755 {_sha('')}",
        "to-app/odd : name/a b\n": f"100000 0 0 644 {_sha('a')}",
        "to-app/link": f"120000 0 0 777 {_sha('18:target with spaces')}",
        os.fsdecode(b"\xff"): f"100000 0 0 644 {_sha('x')}",
    }
    assert from_text("".join(to_text(found.items()))) == found


def test_the_root_itself_is_a_dot(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    assert list(taken(tmp_path, ".")[1]) == [".", "a"]


def test_two_listings_differ_where_their_digests_do(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("c")
    before = taken(tmp_path, "a")
    (tmp_path / "a" / "b" / "c").chmod(0o600)
    after = taken(tmp_path, "a")
    assert before[0] != after[0]
    assert {path for path in after[1] if after[1][path] != before[1][path]} == {"a/b/c"}
    assert taken(tmp_path, "a/b/c", parents=True)[1] != taken(tmp_path, "a/b/c")[1]


def test_what_is_below_one_directory_has_names_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "app" / "b").mkdir(parents=True)
    (tmp_path / "app" / "b" / "c").write_text("c")
    (tmp_path / "app.d").mkdir()
    (tmp_path / "file").write_text("f")
    below = in_one_directory(taken(tmp_path, "app")[1])
    assert below is not None
    assert list(below) == ["b", "b/c"]
    assert in_one_directory(taken(tmp_path / "app", ".")[1]) == below
    assert in_one_directory(taken(tmp_path, "app*")[1]) is None
    assert in_one_directory(taken(tmp_path, "file")[1]) == {}
    assert in_one_directory(taken(tmp_path, "nothing*")[1]) == {}
