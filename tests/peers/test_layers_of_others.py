"""Layers as other programs write them: what is unpacked is the tree that they were given."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from ocibuild.fs import Root
from ocibuild.oci import mediatypes
from tests.layers.row import Blob, described, remove_all
from tests.layers.stack import shown
from tests.layers.tar import MTIME
from tests.peers.umoci import write_layout
from tests.support.lab import needs_root
from tests.support.peers import require_peer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.layers.row import Tree
    from tests.peers.buildah import Buildah
    from tests.support.docker import Docker

pytestmark = needs_root

LONG = "/".join(["a-directory-with-a-long-name"] * 12)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    remove_all(tmp_path)


def _odd_tree(top: Path, *, long: bool = True, bytes_: bool = True, devices: bool = True) -> Tree:
    """Make a tree of everything that is odd and that the dialect can say, and return it described."""
    top.mkdir()
    (top / "empty").write_bytes(b"")
    (top / "file").write_bytes(b"content" * 300)
    (top / "dir/below").mkdir(parents=True)
    (top / "dir/below/block").write_bytes(b"x" * 512)
    (top / "link").symlink_to("dir/below/block")
    (top / "dangling").symlink_to("/no/where")
    os.link(top / "file", top / "dir/second-name")
    os.mkfifo(top / "fifo", 0o622)
    (top / "with space and 'quotes'\n").write_bytes(b"1")
    (top / "- dash").write_bytes(b"2")
    with (top / "sparse").open("wb") as file:
        for offset in (0, 1 << 20, 3 << 20):
            file.seek(offset)
            file.write(b"piece")
        file.truncate(4 << 20)
    if devices:
        os.mknod(top / "null", 0o020666, os.makedev(1, 3))
    if long:
        (top / LONG).mkdir(parents=True)
        (top / LONG / ("f" * 200)).write_bytes(b"long")
        (top / "long-link").symlink_to(LONG * 3)
    if bytes_:
        (top / "naïve ☃").write_bytes(b"unicode")
        (top / os.fsdecode(b"raw\xff\xfe")).write_bytes(b"bytes")
    os.chown(top / "dir", 1000, 1001)
    os.chown(top / "file", 12, 34)
    os.chown(top / "link", 5, 6, follow_symlinks=False)
    (top / "file").chmod(0o6751)
    (top / "dir").chmod(0o1777)
    (top / "empty").chmod(0)
    for parent, folders, files in os.walk(top, topdown=False):
        for name in (*folders, *files):
            os.utime(os.path.join(parent, name), (MTIME, MTIME), follow_symlinks=False)
    with Root.open(top) as root:
        return described(root)


def _run(*words: str | Path, **env: str) -> bytes:
    done = subprocess.run(list(map(str, words)), check=True, capture_output=True, env={**os.environ, **env})
    return done.stdout


def _shown(folder: Path, plain: bytes) -> Tree:
    return shown(folder / "store", [Blob(plain, plain, mediatypes.OCI_LAYER)])


@pytest.mark.parametrize("sparse", ["", "--sparse"])
@pytest.mark.parametrize(
    "form",
    ["--format=gnu", "--format=oldgnu", "--format=posix", "--format=posix --sparse-version=0.0",
     "--format=posix --sparse-version=0.1", "--format=posix --sparse-version=1.0"],
)  # fmt: skip
def test_gnu_tar(folder: Path, form: str, sparse: str) -> None:
    expected = _odd_tree(folder / "source")
    tar = _run(require_peer("tar"), *form.split(), *sparse.split(), "-C", folder / "source", "-c", ".")
    assert _shown(folder, tar) == expected


@pytest.mark.parametrize("form", ["ustar", "v7"])
def test_gnu_tar_in_old_dialects(folder: Path, form: str) -> None:
    expected = _odd_tree(folder / "source", long=False, devices=form != "v7")
    if form == "v7":
        (folder / "source/fifo").unlink()
        del expected["fifo"]
        os.utime(folder / "source", (MTIME, MTIME))
    tar = _run(require_peer("tar"), f"--format={form}", "-C", folder / "source", "-c", ".")
    assert _shown(folder, tar) == expected


@pytest.mark.parametrize("form", ["pax", "ustar", "gnutar"])
def test_bsdtar(folder: Path, form: str) -> None:
    expected = _odd_tree(folder / "source", long=form != "ustar", bytes_=form != "pax")
    tar = _run(require_peer("bsdtar"), f"--format={form}", "-C", folder / "source", "-cf", "-", ".", LC_ALL="C.UTF-8")
    assert _shown(folder, tar) == expected


def _acl(*entries: tuple[int, int, int]) -> bytes:
    """Return an access list as the kernel has it: tag, permissions and ID of each entry."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


@pytest.mark.parametrize(
    "words",
    [
        "tar --format=posix --xattrs --xattrs-include=*",
        "tar --format=posix --xattrs --xattrs-include=* --acls",
        "tar --format=posix --acls",
        "bsdtar --format=pax --xattrs --acls",
        "bsdtar --format=pax --xattrs",
    ],
)
def test_extended_attributes_and_access_lists(folder: Path, words: str) -> None:
    _odd_tree(folder / "source", bytes_=False)
    os.setxattr(folder / "source/dir", "user.binary", b"\0=\n\xff" * 20)
    os.setxattr(folder / "source/file", "trusted.x", b"y")
    os.setxattr(
        folder / "source/file", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000")
    )
    everybody = 0xFFFFFFFF
    listed = _acl((1, 6, everybody), (2, 6, 1000), (4, 4, everybody), (16, 6, everybody), (32, 4, everybody))
    os.setxattr(folder / "source/empty", "system.posix_acl_access", listed)
    program, *options = words.split()
    tar = _run(require_peer(program), *options, "-C", folder / "source", "-cf", "-", ".", LC_ALL="C.UTF-8")
    with Root.open(folder / "source") as root:
        expected = described(root)
    found = _shown(folder, tar)
    # an access list is left out; the mode has its mask from GNU, and what it says of the group from bsdtar
    expected["empty"] = "f 664" if program == "tar" else "f 644"
    if "--xattrs" not in words:
        expected = {name: line.partition(" +")[0] + (" #2" if "#2" in line else "") for name, line in expected.items()}
    assert found == expected


def _unpacked_blobs(layout: Path) -> list[Blob]:
    """Return the layers of the one image in an OCI layout."""

    def blob(descriptor: dict[str, str]) -> bytes:
        return (layout / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()

    (top,) = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = json.loads(blob(top))
    return [_blob(blob(layer), layer["mediaType"]) for layer in manifest["layers"]]


def _blob(content: bytes, media_type: str) -> Blob:
    import gzip

    import zstandard

    if content.startswith(b"\x1f\x8b"):
        return Blob(gzip.decompress(content), content, media_type)
    if content.startswith(b"\x28\xb5\x2f\xfd"):
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content), read_across_frames=True) as reader:
            return Blob(reader.read(), content, media_type)
    return Blob(content, content, media_type)


def test_umoci(folder: Path) -> None:
    write_layout(folder / "layout", [])
    image, umoci = f"{folder / 'layout'}:latest", require_peer("umoci")
    _run(umoci, "unpack", "--image", image, folder / "bundle")
    (folder / "bundle/rootfs").rmdir()
    expected = _odd_tree(folder / "bundle/rootfs")
    _run(umoci, "repack", "--image", image, folder / "bundle")
    _run(umoci, "gc", "--layout", folder / "layout")
    assert shown(folder / "store", _unpacked_blobs(folder / "layout")) == expected


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_buildah_and_skopeo(folder: Path, buildah: Buildah, compression: str) -> None:
    container = buildah("from", "scratch")
    try:
        top = buildah.mounted(container)
        expected = _odd_tree(top / "tree")
        buildah("commit", container, f"oci:{folder / 'first'}:latest")
    finally:
        buildah("rm", container)
    skopeo = require_peer("skopeo")
    target = ["--dest-oci-accept-uncompressed-layers", "--dest-decompress"] if compression == "none" else []
    target = target or ["--dest-compress", "--dest-compress-format", compression]
    if compression == "none":
        target = ["--dest-oci-accept-uncompressed-layers"]
        _run(skopeo, "copy", f"oci:{folder / 'first'}:latest", f"dir:{folder / 'dir'}", "--dest-decompress")
        source = f"dir:{folder / 'dir'}"
    else:
        source = f"oci:{folder / 'first'}:latest"
    _run(skopeo, "copy", *target, source, f"oci:{folder / 'layout'}:latest")
    found = shown(folder / "store", _unpacked_blobs(folder / "layout"))
    del found["tree"]
    assert found == {f"tree/{name}": line for name, line in expected.items()}


def test_docker(folder: Path, docker: Docker) -> None:
    expected = _odd_tree(folder / "source")
    (folder / "source.tar").write_bytes(_run(require_peer("tar"), "-C", folder / "source", "-c", "."))
    docker("import", str(folder / "source.tar"), "odd:1")
    docker("save", "-o", str(folder / "saved.tar"), "odd:1")
    with tarfile.open(folder / "saved.tar") as saved:
        (manifest,) = json.load(saved.extractfile("manifest.json") or io.BytesIO())
        layers = [(saved.extractfile(name) or io.BytesIO()).read() for name in manifest["Layers"]]
    assert shown(folder / "store", [_blob(layer, mediatypes.OCI_LAYER) for layer in layers]) == expected
