"""Layers of many chunks, which several threads have compressed, as others unpack them: most are programs of Go."""

from __future__ import annotations

import random
import subprocess
from typing import TYPE_CHECKING

import pytest

from ocibuild.fs import Root
from ocibuild.layer.changes import Changed
from ocibuild.layer.chunks import CHUNK
from ocibuild.layer.pack import pack
from ocibuild.oci import Compression, DiffID, Digest, Reference, layer_type
from ocibuild.store import Layer, Store
from tests.support.peers import require_peer
from tests.unit.archive.images import put_image, write_oci_layout
from tests.unit.layer.helpers import OWNERS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers.buildah import Buildah
    from tests.peers.podman import Podman
    from tests.support.docker import Docker

_RANDOM = random.Random(3)
CONTENT = b"".join(_RANDOM.randbytes(5000) + b"words " * 1000 for _ in range(6 * CHUNK // 11_000))


@pytest.fixture(params=[Compression.GZIP, Compression.ZSTD], ids=["gzip", "zstd"])
def compression(request: pytest.FixtureRequest) -> Compression:
    assert isinstance(request.param, Compression)
    return request.param


@pytest.fixture
def diff_id(compression: Compression, tmp_path: Path) -> DiffID:
    """The layer of the one image in the layout ``layout``; its file ``chunks`` is CONTENT."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/chunks").write_bytes(CONTENT)
    with Store.open(str(tmp_path / "store")) as store:
        with Root.open(tmp_path / "tree") as root, store.blobs.writer() as blob:
            change = Changed("chunks")
            diff_id = pack([change], root, blob.write, compression=compression, owners=OWNERS, threads=3)
            descriptor = blob.describe(layer_type(compression))
        image = put_image(store, tmp_path, layers=[Layer(diff_id, descriptor)])
        name = Reference.parse("packed:1")
        write_oci_layout(store.blobs, image, [name], str(tmp_path / "layout"))
    return diff_id


def _run(*words: str | Path) -> str:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_skopeo_decompresses_them(diff_id: DiffID, tmp_path: Path) -> None:
    _run(require_peer("skopeo"), "copy", "--dest-decompress", f"oci:{tmp_path}/layout", f"dir:{tmp_path}/plain")
    assert Digest.of((tmp_path / "plain" / diff_id.encoded).read_bytes()) == diff_id


@pytest.mark.parametrize("compression", [Compression.GZIP], indirect=True)  # umoci 0.4 reads no zstd
@pytest.mark.usefixtures("diff_id")
def test_umoci_unpacks_them(tmp_path: Path) -> None:
    _run(require_peer("umoci"), "unpack", "--rootless", "--image", f"{tmp_path}/layout:1", tmp_path / "bundle")
    assert (tmp_path / "bundle/rootfs/chunks").read_bytes() == CONTENT


@pytest.mark.parametrize("compression", [Compression.GZIP], indirect=True)  # dockerd 20.10 reads no zstd
@pytest.mark.usefixtures("diff_id")
def test_docker_pulls_them(docker: Docker, registry: str, tmp_path: Path) -> None:
    image = f"{registry}/peers/packed:1"
    copy = (require_peer("skopeo"), "copy", "--preserve-digests", "--dest-tls-verify=false")
    _run(*copy, f"oci:{tmp_path}/layout", f"docker://{image}")
    docker("pull", image)
    container = docker("create", image)
    docker("cp", f"{container}:/chunks", f"{tmp_path}/copied")
    docker("rm", container)
    docker("rmi", image)
    assert (tmp_path / "copied").read_bytes() == CONTENT


@pytest.mark.usefixtures("diff_id")
def test_podman_pulls_them(podman: Podman, tmp_path: Path) -> None:
    image = podman("pull", "-q", f"oci:{tmp_path}/layout")
    assert (podman.mounts.path(podman("image", "mount", image)) / "chunks").read_bytes() == CONTENT
    podman("image", "umount", image)
    podman("rmi", image)


@pytest.mark.usefixtures("diff_id")
def test_buildah_mounts_them(buildah: Buildah, tmp_path: Path) -> None:
    container = buildah("from", f"oci:{tmp_path}/layout")
    try:
        assert (buildah.mounted(container) / "chunks").read_bytes() == CONTENT
    finally:
        buildah("rm", container)
