"""What the trees of the rows are compared by: layers applied as the specification says, and every difference seen."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest

from tests.rows import known
from tests.rows.known import Known, complaints
from tests.rows.trees import differences, flatten, read_layer
from tests.rows.unsteady import steady


def layer(*entries: tuple[str, dict[str, Any]]) -> bytes:
    """Return a tar of entries: a name, and what is not as in an empty file."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, fields in entries:
            member = tarfile.TarInfo(name)
            content = fields.get("content", b"")
            member.size = len(content)
            for key, value in fields.items():
                if key != "content":
                    setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content))
    return written.getvalue()


FOLDER = {"type": tarfile.DIRTYPE, "mode": 0o755}
BELOW = layer(
    ("d", FOLDER),
    ("d/a", {"content": b"a"}),
    ("d/b", {"type": tarfile.LNKTYPE, "linkname": "d/a"}),
    ("d/e", FOLDER),
    ("d/e/f", {}),
)


def tree(*layers: bytes) -> dict[str, Any]:
    return flatten([read_layer(each) for each in layers])


@pytest.mark.parametrize(
    ("above", "names"),
    [
        ([("d/.wh.e", {})], ["d", "d/a", "d/b"]),
        ([("d/.wh..wh..opq", {}), ("d/new", {})], ["d", "d/new"]),
        ([("d/new", {}), ("d/.wh..wh..opq", {})], ["d", "d/new"]),
        ([("d/e", {"content": b"a file now"})], ["d", "d/a", "d/b", "d/e"]),
        ([("d", FOLDER)], ["d", "d/a", "d/b", "d/e", "d/e/f"]),
        ([("d/.wh.a", {})], ["d", "d/b", "d/e", "d/e/f"]),
        ([("d/.wh.not-there", {})], ["d", "d/a", "d/b", "d/e", "d/e/f"]),
    ],
)
def test_what_a_layer_removes(above: list[tuple[str, dict[str, Any]]], names: list[str]) -> None:
    assert sorted(tree(BELOW, layer(*above))) == names


def test_names_of_one_file_are_known_across_layers() -> None:
    more = layer(("d/c", {"type": tarfile.LNKTYPE, "linkname": "d/b"}), ("d/.wh.a", {}))
    assert tree(BELOW)["d/a"].names == ("d/a", "d/b")
    assert tree(BELOW, more)["d/b"].names == ("d/b", "d/c")
    assert tree(BELOW, layer(("d/a", {"content": b"a"})))["d/b"].names == ()


@pytest.mark.parametrize(
    "change",
    [
        {"content": b"b"},
        {"mode": 0o4644},
        {"uid": 1},
        {"gid": 1},
        {"type": tarfile.FIFOTYPE},
        {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3},
        {"type": tarfile.SYMTYPE, "linkname": "x"},
        {"pax_headers": {"SCHILY.xattr.security.capability": "\x01"}},
    ],
    ids=",".join,
)
def test_every_difference_is_seen(change: dict[str, Any]) -> None:
    assert list(differences(tree(layer(("f", {"content": b"a"}))), tree(layer(("f", {"content": b"a"} | change))))) == [
        "f"
    ]


def test_times_make_no_difference() -> None:
    assert not differences(tree(layer(("f", {}))), tree(layer(("f", {"mtime": 1}))))


def test_days_of_passwords_make_no_difference() -> None:
    assert steady("etc/shadow", b"a:!:20000:0:\nb:*:1:0:\n") == b"a:!:today:0:\nb:*:1:0:\n"
    assert steady("etc/other", b"a:!:20000:0:\n") == b"a:!:20000:0:\n"


def test_known_differences_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "KNOWN", (Known(("row",), "case", ("a", "b/*"), "why"),))
    assert complaints("row", "case", {"a": "", "b/1": "", "b/2": ""}) == []
    assert complaints("row", "case", {"a": "", "b/1": "", "c": "new"}) == ["c\nnew"]
    assert complaints("row", "case", {"a": ""}) == ["b/*: it is the same now: take it out of known.py (why)"]
    assert complaints("other", "case", {"a": "x"}) == ["a\nx"]
