"""Any tree comes back from a layer, any two trees from a layer upon another, and any damage is an error or a tree."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocibuild.errors import OcibuildError
from ocibuild.fs import Root
from ocibuild.layer.apply import apply
from ocibuild.layer.changes import Changed, Removed
from ocibuild.layer.compression import compress
from ocibuild.layer.owners import RealOwners
from ocibuild.layer.pack import pack
from ocibuild.layer.settle import settle
from ocibuild.oci import Compression, mediatypes
from tests.layers import dialects, hostile, whiteouts
from tests.layers.row import Blob, described, remove_all
from tests.layers.stack import shown
from tests.support.lab import needs_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ocibuild.layer.changes import Change

pytestmark = needs_root
examples = settings(deadline=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True, slots=True)
class Node:
    """A file of a random tree: ``kind`` is the letter of find(1), or ``h`` for one more name of an earlier file."""

    kind: str
    mode: int
    owner: tuple[int, int]
    mtime: int
    content: bytes
    xattrs: Mapping[str, bytes] = field(default_factory=dict)


Nodes = dict[str, Node]


def _is_name(name: bytes) -> bool:
    return name not in (b".", b"..") and not name.startswith(b".wh.")


_LETTERS = st.sampled_from([b"a", b"b", b"c", b".a", b"-", b"a.b"])
_ANY = st.binary(min_size=1, max_size=12).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_"))
_LONG = st.integers(95, 255).map(lambda length: b"n" * length)
names = st.one_of(_LETTERS, _LETTERS, _LETTERS, _ANY, _LONG).filter(_is_name).map(os.fsdecode)
ids = st.sampled_from([0, 0, 0, 1, 1000, 2_097_151, 2_097_152, 4_294_967_294])
xattrs = st.dictionaries(
    st.sampled_from(["user.a", "user.é", "trusted.x"]),
    st.binary(max_size=60),
    max_size=2,
)
nodes = st.builds(
    Node,
    kind=st.sampled_from("fffdddlph"),
    mode=st.one_of(st.sampled_from([0o644, 0o755]), st.integers(0, 0o7777)),
    owner=st.tuples(ids, ids),
    mtime=st.one_of(st.integers(0, 2**31), st.integers(-(2**31), 2**33)),
    content=st.one_of(st.binary(max_size=40), st.sampled_from([b"x" * 511, b"x" * 512, b"x" * 70_000])),
    xattrs=xattrs,
)


@st.composite
def trees(draw: st.DrawFn, *, hard_links: bool = True) -> Nodes:
    """Return nodes by name, parents first."""
    found: Nodes = {}
    for _ in range(draw(st.integers(0, 12))):
        parent = draw(st.sampled_from(["", *(f"{name}/" for name, node in found.items() if node.kind == "d")]))
        name, node = parent + draw(names), draw(nodes)
        if name not in found and len(name.encode("utf-8", "surrogateescape")) < 1000:
            found[name] = node if node.kind != "h" or (hard_links and _files(found)) else replace(node, kind="f")
    return found


def _files(tree: Nodes) -> list[str]:
    return [name for name, node in tree.items() if node.kind == "f"]


def _make(tree: Nodes, top: Path) -> None:
    """Make a tree real."""
    top.mkdir()
    top.chmod(0o755)
    for name, node in tree.items():
        path = os.path.join(top, name)
        match node.kind:
            case "f":
                Path(path).write_bytes(node.content)
            case "d":
                os.mkdir(path)
            case "l":
                os.symlink(node.content[:40].replace(b"\0", b"_") or b"x", os.fsencode(path))
            case "p":
                os.mkfifo(path)
            case _:
                os.link(os.path.join(top, _files(tree)[0]), path)
    for name, node in reversed(tree.items()):
        if node.kind != "h":
            _dress(os.path.join(top, name), node)


def _dress(path: str, node: Node) -> None:
    os.chown(path, *node.owner, follow_symlinks=False)
    if node.kind in "fd":
        for key, value in node.xattrs.items():
            os.setxattr(path, key, value)
    if node.kind != "l":
        os.chmod(path, node.mode)
    os.utime(path, (node.mtime, node.mtime), follow_symlinks=False)


def _packed(top: Path, changes: Sequence[Change], compression: Compression) -> bytes:
    pieces: list[bytes] = []
    with Root.open(top) as root:
        pack(changes, root, pieces.append, compression=compression, owners=RealOwners.of_this_process())
    return b"".join(pieces)


def _described(top: Path) -> dict[str, str]:
    with Root.open(top) as root:
        return described(root)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
        remove_all(name)


@given(tree=trees(), compression=st.sampled_from(Compression), order=st.randoms(use_true_random=False))
@settings(examples, max_examples=60)
def test_any_tree_comes_back_from_a_layer(tree: Nodes, compression: Compression, order: object) -> None:
    with _folder() as folder:
        _make(tree, folder / "source")
        changes = [Changed(name) for name in [".", *tree]]
        order.shuffle(changes)  # type: ignore[attr-defined]
        blob = _packed(folder / "source", changes, compression)
        (folder / "root").mkdir()
        with Root.open(folder / "root") as root:
            apply(io.BytesIO(blob), compression, root, owners=RealOwners.of_this_process())
        assert _described(folder / "root") == _described(folder / "source")


def _difference(lower: Mapping[str, str], upper: Mapping[str, str]) -> list[Change]:
    """Return the changes from one tree to another, both as they are described."""
    gone = [name for name in lower if name not in upper]
    hidden = [name for name in gone if not any(name.startswith(f"{parent}/") for parent in gone)]
    changes: list[Change] = [
        Removed(name) for name in hidden if upper.get(name.rpartition("/")[0], "d").startswith("d")
    ]
    return changes + [Changed(name) for name, line in upper.items() if lower.get(name) != line]


@given(
    lower=trees(hard_links=False),
    upper=trees(hard_links=False),
    kept=st.integers(0, 12),
    order=st.randoms(use_true_random=False),
)
@settings(examples, max_examples=60)
def test_a_layer_of_the_changes_gives_the_upper_tree(lower: Nodes, upper: Nodes, kept: int, order: object) -> None:
    upper = dict(list(lower.items())[:kept]) or upper if kept % 3 == 0 else upper
    with _folder() as folder:
        _make(lower, folder / "lower")
        _make(upper, folder / "upper")
        below, above = _described(folder / "lower"), _described(folder / "upper")
        changes = _difference(below, above)
        order.shuffle(changes)  # type: ignore[attr-defined]
        blobs = [
            Blob(plain, plain, mediatypes.OCI_LAYER)
            for plain in (
                _packed(folder / "lower", [Changed(name) for name in below], Compression.NONE),
                _packed(folder / "upper", changes, Compression.NONE),
            )
        ]
        assert shown(folder / "store", blobs) == above


TARS = [one.plain for module in (whiteouts, dialects, hostile) for row in module.ROWS for one in row.layers[-1:]]
TARS = [tar for tar in TARS if len(tar) < 20_000]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a tar with bytes flipped, blocks moved or left out, the end cut off, or another one after it."""
    tar = bytearray(draw(st.sampled_from(TARS)))
    for _ in range(draw(st.integers(0, 3))):
        tar += draw(st.sampled_from(TARS))[:-1024]
    blocks = [bytes(tar[at : at + 512]) for at in range(0, len(tar), 512)]
    for _ in range(draw(st.integers(0, 4))):
        if blocks:
            block = blocks.pop(draw(st.integers(0, len(blocks) - 1)))
            if draw(st.booleans()):
                blocks.insert(draw(st.integers(0, len(blocks))), block)
    tar = bytearray(b"".join(blocks))
    for _ in range(draw(st.integers(0, 6))):
        if tar:
            tar[draw(st.integers(0, len(tar) - 1))] = draw(st.sampled_from([0, 0x2E, 0x2F, 0x37, 0x80, 0xFF]))
    if draw(st.booleans()):
        _recheck(tar)
    return bytes(tar[: draw(st.one_of(st.just(len(tar)), st.integers(0, len(tar))))])


def _recheck(tar: bytearray) -> None:
    """Make the checksums of all headers right."""
    for at in range(0, len(tar) - 511, 512):
        block = tar[at : at + 512]
        if block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            struct.pack_into("8s", tar, at + 148, b"%06o\0 " % sum(block))


@given(tar=damaged(), cut=st.integers(0, 40), compression=st.sampled_from(Compression))
@settings(examples, max_examples=300)
def test_damage_gives_a_tree_or_an_error_and_touches_nothing_else(
    tar: bytes, cut: int, compression: Compression
) -> None:
    blob = bytearray().join(compress([tar], compression))
    if cut < 10:
        blob[cut * 7 % len(blob) if blob else 0 :] = b"\xff" * 9
    with _folder() as folder:
        (folder / "canary").mkdir()
        (folder / "canary/file").write_text("alive")
        (folder / "below").mkdir()
        (folder / "root").mkdir()
        owners = RealOwners.of_this_process()
        with Root.open(folder / "root") as root, Root.open(folder / "below") as below:
            apply(io.BytesIO(whiteouts.BELOW.plain), Compression.NONE, below, owners=owners)
            before = _described(folder / "below")
            with contextlib.suppress(OcibuildError):
                applied = apply(io.BytesIO(bytes(blob)), compression, root, owners=owners)
                settle(root, applied, [below])
        assert _described(folder / "below") == before
        assert sorted(os.listdir(folder)) == ["below", "canary", "root"]
        assert os.listdir(folder / "canary") == ["file"]
        assert (folder / "canary/file").read_text() == "alive"
        assert stat.S_IMODE((folder / "canary").stat().st_mode) == 0o755
