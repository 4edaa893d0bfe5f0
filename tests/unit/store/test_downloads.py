from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocibuild.oci import Digest
from ocibuild.store import Download, Downloads

if TYPE_CHECKING:
    from pathlib import Path

ONE = Download(Digest.of(b"one"), '"1"', "today", settled=True)


def test_what_is_put_is_got(tmp_path: Path) -> None:
    downloads = Downloads(str(tmp_path))
    assert downloads.get("url") is None
    downloads.put("url", ONE)
    assert Downloads(str(tmp_path)).get("url") == ONE
    downloads.put("url", Download(Digest.of(b"two")))
    assert downloads.get("url") == Download(Digest.of(b"two"))
    assert downloads.get("other") is None


def test_a_name_is_not_kept(tmp_path: Path) -> None:
    Downloads(str(tmp_path)).put("https://me:secret@host/", ONE)
    for path in tmp_path.rglob("*"):
        assert "secret" not in path.name
        assert path.is_dir() or "secret" not in path.read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"digest": "x", "etag": "", "modified": ""}'])
def test_a_damaged_file_counts_as_missing(tmp_path: Path, text: str) -> None:
    downloads = Downloads(str(tmp_path))
    downloads.put("url", ONE)
    (path,) = (tmp_path / "web").iterdir()
    path.write_text(text)
    assert downloads.get("url") is None
