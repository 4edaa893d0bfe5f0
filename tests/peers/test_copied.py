"""Images copied from what others wrote, and to what others read, in every form that both have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ocibuild.oci import Compression, Digest, Manifest, Reference, mediatypes, parse_manifest
from ocibuild.store import Store
from tests.support.peers import require_peer, require_root
from tests.unit.archive.images import AMD64, ARM64, TREES, put_image, put_index, put_layer, write_oci_layout

if TYPE_CHECKING:
    from ocibuild.oci import Descriptor
    from tests.peers.buildah import Buildah
    from tests.peers.podman import Podman
    from tests.support.docker import Docker

_CHECKOUT = Path(__file__).parents[2]
APP = Reference.parse("registry.example/app:1")


def run(*words: str | Path, cwd: Path | None = None) -> str:
    environ = {**os.environ, "PYTHONPATH": str(_CHECKOUT)}
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, env=environ, cwd=cwd)
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout


def skopeo(*words: str | Path) -> str:
    return run(require_peer("skopeo"), *words)


class Copied:
    """ocibuild's copies, with a store of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, source: str, destination: str, *words: str) -> str:
        """Copy, and return the digest."""
        program = (sys.executable, "-m", "ocibuild", "--root", self.folder / "store")
        return run(*program, "copy", "-q", *words, source, destination, cwd=self.folder).strip()

    def contents(self, source: str) -> tuple[Manifest, dict[str, Any], str]:
        """Return the manifest and the config of an image as a copy of it has them, and its digest."""
        digest = self(source, "dir:contents")
        data = (self.folder / "contents/manifest.json").read_bytes()
        assert Digest.of(data) == digest
        manifest = parse_manifest(data)
        assert isinstance(manifest, Manifest)
        for blob in (manifest.config, *manifest.layers):
            assert Digest.of((self.folder / "contents" / blob.digest.encoded).read_bytes()) == blob.digest
        config: dict[str, Any] = json.loads((self.folder / "contents" / manifest.config.digest.encoded).read_bytes())
        return manifest, config, digest


@pytest.fixture
def copied(tmp_path: Path) -> Copied:
    return Copied(tmp_path)


@pytest.fixture
def made(tmp_path: Path) -> Descriptor:
    """An image in a layout, ``oci:layout:1`` of the folder of ``copied``."""
    with Store.open(str(tmp_path / "made")) as store:
        image = put_image(store, tmp_path / "trees")
        write_oci_layout(store.blobs, image, [APP], str(tmp_path / "layout"))
    return image


@pytest.fixture
def both(tmp_path: Path) -> Descriptor:
    """An index of two images, likewise, as ``oci:both:1``."""
    with Store.open(str(tmp_path / "made")) as store:
        images = {
            platform: put_image(store, tmp_path / platform.architecture, platform=platform)
            for platform in (AMD64, ARM64)
        }
        index = put_index(store, images)
        write_oci_layout(store.blobs, index, [APP], str(tmp_path / "both"))
    return index


def digest_of(source: str) -> str:
    """Return the digest that skopeo sees."""
    return str(Digest.of(skopeo("inspect", "--raw", source).encode()))


def image_id(source: str) -> str:
    return str(Digest.of(skopeo("inspect", "--config", "--raw", source).encode()))


# -- what we write


@pytest.mark.parametrize("form", ["oci:{}/there:1", "oci-archive:{}/there:1", "dir:{}/there"])
@pytest.mark.parametrize("everything", [True, False], ids=["all", "one"])
def test_skopeo_reads_what_is_copied(
    form: str, everything: bool, copied: Copied, both: Descriptor, tmp_path: Path
) -> None:
    there = form.format(tmp_path)
    words = ["--all"] if everything else ["--platform", "linux/arm64"]
    digest = copied("oci:both:1", there, *words)
    assert digest_of(there) == digest
    assert (digest == both.digest) == everything
    skopeo("copy", *(["--all"] if everything else []), "--preserve-digests", there, f"dir:{tmp_path}/theirs")
    assert Digest.of((tmp_path / "theirs/manifest.json").read_bytes()) == digest


@pytest.mark.parametrize("name", [":registry.example/app:1", ""], ids=["named", "nameless"])
def test_skopeo_reads_our_docker_archive(name: str, copied: Copied, made: Descriptor, tmp_path: Path) -> None:
    copied("oci:layout:1", f"docker-archive:a.tar{name}")
    manifest, config, _ = copied.contents("oci:layout:1")
    assert image_id(f"docker-archive:{tmp_path}/a.tar{name}") == manifest.config.digest
    skopeo("copy", f"docker-archive:{tmp_path}/a.tar{name}", f"dir:{tmp_path}/theirs")
    layers = json.loads((tmp_path / "theirs/manifest.json").read_bytes())["layers"]
    assert [layer["digest"] for layer in layers] == config["rootfs"]["diff_ids"]  # skopeo unpacks them


def test_docker_loads_our_docker_archive_and_runs_it(
    copied: Copied, busybox_base: str, docker: Docker, tmp_path: Path
) -> None:
    skopeo("copy", "--src-tls-verify=false", f"docker://{busybox_base}", f"oci:{tmp_path}/busybox:1")
    copied("oci:busybox:1", "docker-archive:a.tar:copied/busybox:7")
    assert "Loaded image: copied/busybox:7" in docker("load", "-i", f"{tmp_path}/a.tar")
    assert docker("inspect", "--format", "{{.Id}}", "copied/busybox:7") == image_id(f"oci:{tmp_path}/busybox:1")
    assert docker("run", "--rm", "--network", "none", "copied/busybox:7", "echo", "hello") == "hello"
    copied("oci:busybox:1", "docker-archive:b.tar")
    assert "Loaded image" in docker("load", "-i", f"{tmp_path}/b.tar")


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.NONE])
@pytest.mark.parametrize(
    "form", ["docker-archive:a.tar:registry.example/app:1", "oci-archive:a.tar:registry.example/app:1"]
)
def test_podman_loads_our_archives(
    compression: Compression, form: str, copied: Copied, podman: Podman, tmp_path: Path
) -> None:
    with Store.open(str(tmp_path / "made")) as store:
        image = put_image(store, tmp_path / "trees", compression=compression)
        write_oci_layout(store.blobs, image, [APP], str(tmp_path / "layout"))
    copied("oci:layout:1", form)
    assert "registry.example/app:1" in podman("load", "-i", tmp_path / "a.tar")
    manifest, _, _ = copied.contents("oci:layout:1")
    assert podman("image", "inspect", "--format", "{{.Id}}", "registry.example/app:1") == manifest.config.digest.encoded
    podman("rmi", "registry.example/app:1")


def test_umoci_unpacks_a_copied_layout(copied: Copied, made: Descriptor, tmp_path: Path) -> None:
    require_root()
    copied("oci:layout:1", "oci:there:2")
    run(require_peer("umoci"), "unpack", "--image", f"{tmp_path}/there:2", tmp_path / "bundle")
    for tree in TREES:
        for name, content in tree.items():
            assert (tmp_path / "bundle/rootfs" / name).read_bytes() == content


def test_a_layout_of_skopeo_and_umoci_is_added_to(copied: Copied, made: Descriptor, tmp_path: Path) -> None:
    skopeo("copy", f"oci:{tmp_path}/layout:1", f"oci:{tmp_path}/theirs:old")
    run(require_peer("umoci"), "config", "--image", f"{tmp_path}/theirs:old", "--tag", "other", "--config.user", "7")
    before = digest_of(f"oci:{tmp_path}/theirs:other")
    assert copied("oci:layout:1", "oci:theirs:new") == made.digest
    assert copied("oci:theirs:other", "oci:theirs:old") == before
    assert digest_of(f"oci:{tmp_path}/theirs:new") == made.digest
    assert digest_of(f"oci:{tmp_path}/theirs:old") == before
    run(require_peer("umoci"), "gc", "--layout", tmp_path / "theirs")
    assert copied("oci:theirs:new", "dir:d") == made.digest


# -- what others write


@pytest.mark.parametrize("form", ["oci:{}/theirs:1", "oci-archive:{}/theirs:1", "dir:{}/theirs"])
def test_what_skopeo_writes_is_copied_with_its_digest(
    form: str, copied: Copied, both: Descriptor, tmp_path: Path
) -> None:
    theirs = form.format(tmp_path)
    skopeo("copy", "--all", f"oci:{tmp_path}/both:1", theirs)
    assert copied(theirs, "oci:back:1", "--all") == digest_of(theirs) == both.digest
    for platform in (AMD64, ARM64):
        one = copied(theirs, f"oci:back:{platform.architecture}", "--platform", str(platform))
        assert digest_of(f"oci:{tmp_path}/back:{platform.architecture}") == one


def test_docker_images_of_skopeo_keep_their_media_types(copied: Copied, made: Descriptor, tmp_path: Path) -> None:
    skopeo("copy", "--format", "v2s2", f"oci:{tmp_path}/layout:1", f"dir:{tmp_path}/theirs")
    manifest, _, digest = copied.contents(f"dir:{tmp_path}/theirs")
    assert manifest.media_type == mediatypes.DOCKER_MANIFEST
    assert digest == digest_of(f"dir:{tmp_path}/theirs")


def check_docker_archive(copied: Copied, path: Path, expected: str, name: str = "") -> None:
    """Check that an image of a docker archive is copied with its image ID, and that skopeo finds the copy sound."""
    manifest, config, digest = copied.contents(f"docker-archive:{path}{name}")
    assert manifest.config.digest.encoded == expected.removeprefix("sha256:")
    assert len(config["rootfs"]["diff_ids"]) == len(manifest.layers)
    copied(f"docker-archive:{path}{name}", "dir:checked")
    assert digest_of(f"dir:{copied.folder}/checked") == digest
    skopeo("copy", f"dir:{copied.folder}/checked", f"oci:{copied.folder}/unpacked:{manifest.config.digest.short}")


def test_what_docker_saves_is_copied(copied: Copied, docker: Docker, tmp_path: Path) -> None:
    """One image, then two that share layers, and one that has a layer twice, for which docker writes a link."""
    with Store.open(str(tmp_path / "made")) as store:
        layers = [put_layer(store, tmp_path / str(n), tree) for n, tree in enumerate(TREES)]
        images = {
            "first": put_image(store, tmp_path, layers=layers),
            "second": put_image(store, tmp_path, layers=layers[:1]),
            "twice": put_image(store, tmp_path, layers=[*layers, layers[0]]),
        }
        for name, image in images.items():
            write_oci_layout(store.blobs, image, [APP.with_tag(name)], str(tmp_path / "layout"))
    ids = {}
    for name in images:
        copied(f"oci:layout:{name}", f"docker-archive:{name}.tar:saved:{name}")
        docker("load", "-i", f"{tmp_path}/{name}.tar")
        ids[name] = docker("inspect", "--format", "{{.Id}}", f"saved:{name}")
    docker("save", "-o", f"{tmp_path}/one.tar", "saved:first")
    check_docker_archive(copied, tmp_path / "one.tar", ids["first"])
    docker("save", "-o", f"{tmp_path}/all.tar", *(f"saved:{name}" for name in images))
    with tarfile.open(tmp_path / "all.tar") as tar:
        assert any(member.issym() for member in tar)
    for name, expected in ids.items():
        check_docker_archive(copied, tmp_path / "all.tar", expected, f":saved:{name}")


def test_what_podman_saves_is_copied(copied: Copied, made: Descriptor, podman: Podman, tmp_path: Path) -> None:
    copied("oci:layout:1", "docker-archive:a.tar:podman.example/app:1")
    podman("load", "-i", tmp_path / "a.tar")
    podman("tag", "podman.example/app:1", "podman.example/app:2")
    expected = podman("image", "inspect", "--format", "{{.Id}}", "podman.example/app:1")
    save = ("save", "podman.example/app:1")
    podman(*save, "--format", "docker-archive", "-o", tmp_path / "docker.tar")
    check_docker_archive(copied, tmp_path / "docker.tar", expected)
    podman("save", "-m", "-o", tmp_path / "several.tar", "podman.example/app:1", "podman.example/app:2")
    check_docker_archive(copied, tmp_path / "several.tar", expected, ":podman.example/app:2")
    for form, transport in (("oci-archive", "oci-archive"), ("oci-dir", "oci"), ("docker-dir", "dir")):
        podman(*save, "--format", form, "-o", tmp_path / form)
        theirs = f"{transport}:{tmp_path}/{form}"
        assert copied.contents(theirs)[2] == digest_of(theirs)
    podman("rmi", "podman.example/app:1", "podman.example/app:2")


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci", "dir"])
def test_what_buildah_pushes_is_copied(
    form: str, copied: Copied, made: Descriptor, buildah: Buildah, tmp_path: Path
) -> None:
    image = buildah("pull", f"oci:{tmp_path}/layout:1").splitlines()[-1]
    where = f"{tmp_path}/pushed:1" if form.startswith("oci") else f"{tmp_path}/pushed"
    buildah("push", image, f"{form}:{where}")
    if form == "docker-archive":
        check_docker_archive(copied, tmp_path / "pushed", image)
    else:
        assert copied.contents(f"{form}:{where}")[2] == digest_of(f"{form}:{where}")


# -- registries


def test_an_index_goes_to_a_registry_and_back(copied: Copied, both: Descriptor, registry: str, tmp_path: Path) -> None:
    there = f"docker://{registry}/copied/{tmp_path.name.replace('_', '-')}:1"
    assert copied("oci:both:1", there, "--all") == both.digest
    raw = skopeo("inspect", "--raw", "--tls-verify=false", there)
    assert Digest.of(raw.encode()) == both.digest
    assert copied(there, "oci-archive:back.tar", "--all") == both.digest
    arm64 = copied(there, "docker-archive:arm64.tar:app:1", "--platform", "linux/arm64")
    assert arm64 == json.loads(raw)["manifests"][1]["digest"]
    skopeo("copy", "--all", "--preserve-digests", "--src-tls-verify=false", there, f"dir:{tmp_path}/theirs")
    assert Digest.of((tmp_path / "theirs/manifest.json").read_bytes()) == both.digest


def test_what_docker_and_skopeo_push_is_copied(
    copied: Copied, docker: Docker, busybox_base: str, registry: str, tmp_path: Path
) -> None:
    """Docker's media types from one repository to another of the same registry, which needs no upload."""
    docker("pull", busybox_base)
    docker("tag", busybox_base, f"{registry}/copied/docker:1")
    docker("push", f"{registry}/copied/docker:1")
    digest = copied(f"docker://{registry}/copied/docker:1", f"docker://{registry}/copied/again:2")
    assert (
        Digest.of(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{registry}/copied/again:2").encode())
        == digest
    )
    docker("pull", f"{registry}/copied/again@{digest}")
    check = copied(f"docker://{registry}/copied/again@{digest}", "docker-archive:a.tar:again:2")
    assert check == digest
    assert docker("inspect", "--format", "{{.Id}}", busybox_base) == image_id(f"docker-archive:{tmp_path}/a.tar")
